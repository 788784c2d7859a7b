# The Ruby driver: one binding, spoken to over file descriptor 3 (orchestrator/supervisor/doc.go).
#
# User code shares the process, so it can break anything. The driver keeps what it needs by name and puts right, before
# each execution, what the next one cannot do without. Where that is not enough, it says why and dies: nothing else does.

require "fileutils"
require "json"
require "ripper"
require "socket"

# What user code can show beside the value of its last expression.
module Cubby
  # Shows a value by its MIME types, as in Cubby.display("text/html" => "<b>bold</b>").
  def self.display(data)
    Driver.instance.result(data, false)
    nil
  end

  def self.html(text) = display("text/html" => text)

  # The pipes of one execution.
  class Execution
    attr_reader :outputs

    def initialize(outputs)
      @outputs = outputs.each { |io| io.sync = true }
    end

    def close = @outputs.each(&:close)
  end

  # $stdout or $stderr: writes to the pipe of the execution that has started the thread. Fiber storage is inherited.
  class Stream < BasicObject
    def initialize(driver, index)
      @driver, @index = driver, index
    end

    def method_missing(name, ...)
      here = ::Fiber[:cubby_execution] || @driver.newest
      begin
        here.outputs[@index].public_send(name, ...)
      rescue ::IOError, ::Errno::EPIPE
        ::Kernel.raise if here.equal?(@driver.newest)
        nil # nobody reads a finished execution any more, and a thread that it left behind shall not die of that
      end
    end

    def respond_to?(name, all = false) = ::STDOUT.respond_to?(name, all)
    def close = nil # the next execution needs it
  end

  class Driver
    HOME = "/home/user"
    KEPT = 64 # executions with open pipes; what older ones print is dropped
    GENERATE, PARSE = JSON.method(:generate), JSON.method(:parse)
    FULL_MESSAGE = Exception.instance_method(:full_message)
    PARSE_CODE = Ripper.method(:sexp)
    # Statements whose value nobody asks for. Code that is very long is not looked at.
    QUIET = %i[assign massign opassign def defs class module].freeze
    LOOKED_AT = 1 << 16

    class << self
      attr_accessor :instance
    end
    attr_reader :newest

    def initialize
      @channel = UNIXSocket.for_fd(3)
      @channel.close_on_exec = true
      @pid, @count, @partial, @ios = $$, 0, String.new, []
      @newest = Execution.new([STDOUT, STDERR].map(&:dup))
      @kept = []
      # Not STDOUT and STDERR, which user code may have closed.
      @standard = [1, 2].map { |fd| IO.for_fd(fd, "w", autoclose: false) }
      [STDOUT, STDERR].each { |io| io.sync = true }
      @streams = [Stream.new(self, 0), Stream.new(self, 1)]
      @binding = TOPLEVEL_BINDING.dup
    end

    # Answers requests until the supervisor is gone. What other threads raise in this one waits for user code.
    def serve
      take_interrupts
      send(type: "boot", version: RUBY_VERSION)
      Thread.handle_interrupt(Exception => :never) { loop { answer(*receive) } }
    rescue Exception => e # rubocop:disable Lint/RescueException
      die("#{e.class}: #{e.message}")
    end

    def result(data, main)
      return unless Fiber[:cubby_execution].equal?(@newest) && $$ == @pid && @begun
      data = data.to_h { |mime, value| [mime.to_s, value.is_a?(String) ? utf8(value) : value] }
      data["text/plain"] ||= "(#{data.keys.join(", ")})"
      send(type: "result", main: main, data: data)
    end

    private

    def answer(request, ios)
      case request["op"]
      when "ping" then send(type: "pong")
      when "setup" then setup(request)
      when "execute" then execute(request, ios)
      end
    end

    def setup(request)
      enter(request["cwd"] || HOME)
      (request["env"] || {}).each { |name, value| ENV[name] = value }
      send(type: "ready")
    rescue SystemCallError, ArgumentError => e
      send(type: "failed", value: e.message)
    end

    # A missing directory under HOME is made; any other that is missing fails.
    def enter(path)
      path = File.expand_path(path, HOME)
      FileUtils.mkdir_p(path) if "#{path}/".start_with?("#{HOME}/")
      Dir.chdir(path)
    end

    def execute(request, ios)
      raise "an execute came without its pipes: no file descriptor is left for them" if ios.size != 2
      begin_output(ios)
      take_interrupts
      @early, @begun = false, true
      send(type: "started", count: @count += 1)
      before = set(request["env"] || {})
      error = run(request["code"] || "")
      exit!(error ? 1 : 0) if $$ != @pid # a child that user code has forked, at the end of the cell
      @begun = false
      before.each { |name, value| ENV[name] = value }
      tell(error) if error
      send(type: "done")
    end

    # Sets environment variables and returns what they were before: nil where there was none.
    def set(variables)
      variables.to_h do |name, value|
        was = ENV[name]
        ENV[name] = value
        [name, was]
      end
    end

    # Runs code and shows the value of its last expression. Returns what was raised.
    def run(code)
      Thread.handle_interrupt(Exception => :immediate) do
        @running = true
        raise Interrupt if @early
        value = @binding.eval(code, "(cell #{@count})", 1)
        show(value) unless nil.equal?(value) || quiet?(code)
        @running = false
      end
      nil
    rescue Exception => e # rubocop:disable Lint/RescueException
      @running = false
      e
    end

    def quiet?(code)
      code.bytesize <= LOOKED_AT && QUIET.include?(PARSE_CODE.call(code)&.dig(1, -1, 0))
    end

    def show(value)
      data = { "text/plain" => value.inspect }
      data["text/html"] = value.to_html if value.respond_to?(:to_html)
      result(data, true)
    end

    def tell(error)
      error.set_backtrace(own_lines(error.backtrace || []))
      name = error.class.name || error.class.inspect
      send(type: "error", name: utf8(name), value: utf8(error.message.to_s),
           traceback: utf8(FULL_MESSAGE.bind_call(error, highlight: false, order: :top)))
    rescue StandardError => e # of the exception's own methods
      send(type: "error", name: utf8(error.class.to_s), value: "(#{e.class} in its message)", traceback: "")
    end

    # A backtrace without the driver's own lines.
    def own_lines(lines)
      last = lines.rindex { |line| line.start_with?("(cell ") }
      last ? lines[0..last].reject { |line| line.start_with?(__FILE__) } : []
    end

    # Makes a pair of pipes the newest execution's: file descriptors 1 and 2, and what this thread prints.
    def begin_output(ios)
      $stdin, ($stdout, $stderr) = STDIN, @streams
      @standard.zip(ios) { |io, pipe| io.reopen(pipe) }
      Fiber[:cubby_execution] = @newest = Execution.new(ios)
      @kept << @newest
      @kept.shift.close if @kept.size > KEPT
    end

    # One interrupt is raised in an execution, from its started to its done, whenever it comes.
    def take_interrupts
      trap("INT") do
        if @running
          @running = false
          raise Interrupt
        end
        @early = true if @begun
      end
    end

    def receive
      until (line = @partial.slice!(/\A.*\n/))
        data, _, _, *controls = @channel.recvmsg(1 << 16, 0, nil, scm_rights: true)
        exit!(0) if data.nil? || data.empty? # the supervisor is gone, and with it the container
        controls.each { |control| @ios.concat(control.unix_rights || []) }
        @partial << data
      end
      ios, @ios = @ios, []
      [PARSE.call(line.force_encoding("UTF-8")), ios]
    end

    def send(frame)
      return if $$ != @pid
      @channel.write(GENERATE.call(frame) << "\n")
    rescue SystemCallError => e
      die("write to the supervisor: #{e.message}")
    end

    def utf8(text) = text.encode("UTF-8", invalid: :replace, undef: :replace).scrub

    def die(reason)
      @channel.write(GENERATE.call({ type: "dying", value: "ruby driver: #{utf8(reason)}" }) << "\n")
    ensure
      exit!(70)
    end
  end

  # Forked children do without the channel.
  module Forks
    def _fork
      super.tap { |pid| UNIXSocket.for_fd(3).close if pid.zero? }
    end
  end
end

Process.singleton_class.prepend(Cubby::Forks)
Cubby::Driver.instance = Cubby::Driver.new
Cubby::Driver.instance.serve

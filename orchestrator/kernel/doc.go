// Package kernel is the protocol between the orchestrator and the supervisor of a container, and its client.
// This comment is the specification, and the only one. The package uses nothing but the standard library.
//
// # Frames
//
// A frame is one JSON object on one line, UTF-8, at most MaxFrame bytes. The orchestrator sends a [Request], the
// supervisor an [Event]. The stream between them is a throw-away bridge: a `docker exec` of `supervisor attach` that
// copies its standard input and output to a unix socket of the supervisor, which is PID 1 of the container.
//
// # A connection
//
// The supervisor's first frame is a hello. It names the protocol's version, the boot (a random name for one life of
// this supervisor), the language and the interpreter's version, the claim if there is one, how the kernel died if it
// did, and every execution it remembers with the sequence number of its newest event. It comes once the kernel has
// booted. The newest connection fences older ones off: they are closed.
//
//	{"type":"hello","protocol":2,"boot":"…","language":"python","version":"3.13.5","claimed":true,"generation":3,
//	 "meta":{…},"executions":[{"id":"…","seq":41,"state":"running","output":123},
//	 {"id":"…","seq":40,"state":"done","output":7,"done":{"id":"…","seq":40,"type":"done","ending":"ok",…}}]}
//
// A bridge leaves when it has heard nothing for BridgeTimeout, so the orchestrator pings every PingEvery, also while it waits
// for the hello:
//
//	{"op":"ping"}    {"type":"pong"}
//
// # A claim
//
// A container serves one context, for one generation of it. The first claim wins; the same token again is the same
// claim; another is refused with the owner's meta. The working directory and the environment are data. A missing cwd
// under /home/user is created, as the user; any other that is no directory is refused, and the container is not claimed.
//
//	{"op":"claim","token":"…","id":"…","generation":3,"meta":{…},"cwd":"/home/user","env":{…}}
//	{"type":"claimed"}
//	{"type":"refused","name":"bad_cwd","value":"…"}    {"type":"refused","name":"claimed_by_another","meta":{…},"generation":3}
//
// # Executions
//
//	{"op":"execute","id":"01J…","code":"…","env":{"A":"b"},"timeout_ms":60000}
//	{"id":"…","seq":42,"type":"started","count":3}
//	{"id":"…","seq":43,"type":"stdout","text":"1\n","ts":"…"}
//	{"id":"…","seq":44,"type":"result","data":{"text/plain":"1"},"main":true}
//	{"id":"…","seq":45,"type":"error","name":"ValueError","value":"…","traceback":"…"}
//	{"id":"…","seq":46,"type":"gap","bytes":123456}
//	{"id":"…","seq":47,"type":"done","ending":"ok","state":"preserved","usage":{"cpu_ms":3,"wall_ms":4}}
//
// Executions run one at a time, first come first served; at most QueueLength wait, with QueueBytes of code, one more is
// refused ({"id":"…","type":"refused","name":"queue_full"}). A repeated id never runs twice: it is treated as a resume,
// though no resumed answers it. So is an execute whose after says that events of it have been seen: where the journal has
// forgotten it since, it is refused as an unknown execution.
//
// An execute with a reader is answered by a resumed, as a resume is: from then on the execution outlives the connection.
//
// There is exactly one done for every execute that was not refused, and it is always the execution's last event but
// for late output: what a left-over process or thread of a finished execution prints carries that execution's id.
// Sequence numbers rise over all executions and never go back in the life of a supervisor. They may skip.
//
// Text holds at most MaxText bytes, cut between characters; bytes that are no UTF-8 become U+FFFD. The order within a
// stream is exact, and a result, error or done never overtakes output that was written before it. A result too large
// for a frame is replaced by a text/plain note with its type and size, and so is one of more than 64 MIME types or with
// one longer than 256 bytes. An error too large for a frame loses its middle, and says so where that was.
//
// An execute may set limits: {"output_bytes":…,"disk_bytes":…}. One that writes more output and results than output_bytes
// is ended as output_limit; one during which the workspace grows beyond disk_bytes as disk_full. Both take the way of an
// interrupt, and so may come too late for one that ends by itself. What was written until then is delivered. The
// workspace is looked at ten times a second; code that makes room in one that is too large already is not ended.
//
// An interrupt takes a queued execution out, or interrupts the running one: SIGINT to the kernel's process group; a
// kernel that has not ended the execution after Grace is killed with everything else of the user. A timeout does the
// same when it expires; its clock starts with started, or 2 s after the kernel was given the execution if that has not
// come. The done says which it was, and whether state is preserved or lost; where several come together, the first is
// told. An interrupt of an execution that is over does nothing.
//
//	{"op":"interrupt","id":"01J…"}
//
// # The death of a kernel
//
// A kernel that dies ends the running execution (ending oom, crashed, or that of what it was interrupted for, if it died
// of that) and the queued ones with the same ending, unrun; then comes an event for the connection. The journal stays
// readable.
//
//	{"type":"exited","ending":"crashed","value":"signal: segmentation fault","executions":[…]}
//
// It may overtake events that wait for a slow reader's acks. Its executions are those of a hello, each with its done, so
// that whoever gives up the rest of the journal can still say how each ended, and by output how much it has not read.
//
// A stop kills all processes of the user, keeps the journal, and ends no execution: whoever stops a container knows
// why and writes the done (restarted, removed).
//
//	{"op":"stop"}    {"type":"stopped","executions":[…]}
//
// # The journal
//
// Events go to a journal and from there to whoever is attached. Output and results live in a ring of 8 MiB: what it
// drops is replaced by a gap. The started, error and done events of the last 128 executions live outside the ring: of all
// that can run and wait at once, and of as many more. Those that the connection has not read yet stay in any case. An
// error whose frame is longer than MaxKeptError is output to the ring and to whoever counts that.
// A new connection receives the events of an execution after it has sent an execute or a resume for it:
//
//	{"op":"resume","id":"01J…","after":41,"reader":7}
//	{"id":"01J…","type":"resumed","reader":7,"seq":57}
//
// The resumed comes before the events that it asks for, and after all that an earlier subscription of this connection
// sent: the newest reader of an execution takes over from older ones. Its seq is that of the newest event so far. A gap
// counts exactly what a reader has not seen; where the journal no longer knows that, at_most says that bytes is an upper
// bound.
//
// A done waits behind what a slow reader has not acknowledged. That the execution is over is told at once all the same:
//
//	{"id":"01J…","type":"ended","executions":[{"id":"01J…","seq":57,"state":"done","output":123,"done":{…}}]}
//
// The reader acknowledges what it has taken, every AckEvery bytes:
//
//	{"op":"ack","id":"01J…","seq":43}
//
// The supervisor sends at most Window unacknowledged bytes of an execution. When they are reached it stops reading
// that execution's pipes, so a reader that reads gets everything; after AckPatience without an ack, or with nobody
// attached, it reads on and never slows the kernel. A reader that takes over from one that has stalled has no second more.
package kernel

// Package supervisor is the inside of PID 1 of a context's container: it owns the kernel process, the unix socket that
// bridges connect to, and the journal of events. What it speaks with the orchestrator is package kernel's
// specification; this comment specifies what it speaks with a driver, our program around an interpreter.
//
// # A language
//
// An image holds /opt/cubby/supervisor and /opt/cubby/language.json:
//
//	{"name":"python","aliases":["py"],"adapter":"native","argv":["/usr/bin/python3","-I","/opt/cubby/driver.py"],
//	 "env":{"MPLBACKEND":"…"},"interrupt":"signal"}
//
// # A driver
//
// The supervisor starts argv as the context's user, in a session of its own, with standard input from /dev/null and
// file descriptor 3 as one end of a stream socketpair (the driver sets CLOEXEC and closes it in forked children).
// Frames are JSON objects, one a line, UTF-8. Frames are accepted only from the pid that the supervisor started.
//
// The driver says once that it has booted:
//
//	{"type":"boot","version":"3.13.5"}
//
// Then it answers requests, one at a time:
//
//	{"op":"setup","cwd":"/home/user","env":{"A":"b"}}     → {"type":"ready"} or {"type":"failed","value":"No such directory: …"}
//	{"op":"ping"}                                         → {"type":"pong"}
//	{"op":"execute","id":"…","code":"…","env":{"A":"b"}}  → started, any number of results, at most one error, done
//
//	{"type":"started","count":3}
//	{"type":"result","main":true,"data":{"text/plain":"1","image/png":"<base64>","application/json":{…}}}
//	{"type":"error","name":"ValueError","value":"…","traceback":"…"}
//	{"type":"done"}
//
// Two file descriptors come with each execute as SCM_RIGHTS, on the first bytes of its frame: the write ends of the
// pipes for its standard output and standard error. The driver makes them 1 and 2 (dup2) and flushes what its language
// buffers before it sends a result, an error or done. What a thread or task started by an earlier execution prints
// should go to that execution's pipe; the driver keeps duplicates for that, at most 64 pairs.
//
// A driver that cannot go on says why before it exits; the supervisor adds it to the exit status:
//
//	{"type":"dying","value":"no file descriptor is left"}
//
// Where an interpreter itself says on its standard error why it aborts, "fatal" in language.json is what comes before
// that in the line, and the reason is told in the same way.
//
// In a result the type and main come before the data, and in an error type and name before the texts: of a frame longer
// than kernel.MaxFrame only the ends are kept, and its beginning has to say what is to be told instead. A result has at
// most 64 MIME types of at most 256 bytes each. Frames that are no JSON cost the kernel its life; types that the
// supervisor does not know are ignored, and so is what comes while no request is being answered, or for an execute before
// its started: user code that shares the driver's process may have forged the end of an earlier one.
//
// A cwd under /home/user that is missing is created by the driver, as the user; any other that is no directory fails.
// The environment of an execute holds for that execution and is then restored exactly; that of a setup stays.
//
// An interrupt is SIGINT to the process group, at most one for an execution and not before its started. A driver that
// cannot take signals while user code runs says "interrupt":"frame" in language.json. It is sent a frame as well, which
// it has to receive in another thread than that of user code; the signal, which is for what user code has started, it
// has to survive:
//
//	{"op":"interrupt"}
//
// The driver turns an interrupt into the language's own interruption from its started to its done, and ignores it
// otherwise; the execution then ends with an error and done, which the supervisor tells as what the interrupt was for.
// One that ends without an error has ended ok in spite of it, and an error that came before it stays an error. After an
// execution that was interrupted, the supervisor pings and waits for the pong before the next execute, so that a late
// interrupt cannot hit it.
//
// # A Jupyter kernel
//
// With "adapter":"jupyter" the kernel is one that speaks the Jupyter messaging protocol, and no driver is needed:
//
//	{"name":"x","adapter":"jupyter","kernelspec":"xkernel","code":{"setup":"…","enter":"…","leave":"…"}}
//
// The kernelspec (a kernel.json in /usr/local/share/jupyter/kernels, /usr/share/jupyter/kernels or
// /opt/*/share/jupyter/kernels) gives argv, env and the way to interrupt; what language.json says itself comes first, and
// with an argv of its own it needs no kernelspec. An argument holds {connection_file}. The interrupt is "signal", which is
// SIGINT to the process group, or "message", which is an interrupt_request.
//
// The kernel is told its cwd and environment live, in its own language: code holds three snippets, each with {values} in
// it, for which the base64 of a JSON object is put in, so that no value is ever part of the code. They run silently.
//
//	setup    {"cwd":"/home/user","env":{"A":"b"}}   changes the directory, sets the variables; an error is for the user to read
//	enter    {"env":{"A":"b"}}                      before an execution with variables: keeps what they are, and sets them
//	leave    {"env":{"A":"b"}}                      after it: restores them; may come twice
//
// A language without code is told neither: it starts where every kernel does, and refuses what it would have to be told.
//
// The sockets are unix sockets in a directory of the user's, which is removed once the kernel has booted: what it has
// started cannot speak in its place. Messages are signed. User code that shares the kernel's process can forge them, and
// deceives its own context alone; of a length that somebody names no more is allocated than is allowed.
//
// An execution is over when its reply has come and iopub says idle, or says nothing any more, since iopub may lose
// messages. It is always read: up to 32 MiB wait for the reader, and what comes beyond that is left out, with a note on
// standard error. A text of more than 16 MiB in one message loses its middle. Messages go to the execution that they name
// as their parent, for the last 64. Questions to a person are answered with an empty line at once, and a wish to exit with
// a shutdown_request.
//
// Standard output and standard error of the process are pipes for its whole life: what it or its children write there
// directly is told before the next message, and belongs to the execution that runs, or ran last. A process that was left
// running can so print into a later execution; a kernel's own late messages cannot. With "output":"messages" the pipes are
// not told of, for a kernel that tells of all that comes there itself, as ipykernel does.
package supervisor

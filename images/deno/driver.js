// The driver of Deno: V8's REPL mode, spoken to over file descriptor 3 (orchestrator/supervisor/doc.go).
//
//     driver.js            boots
//     driver_kernel.js     answers requests, one at a time
//     driver_execution.js  runs one piece of code and tells how it went
//     driver_code.js       turns what people write into what the REPL mode takes
//     driver_inspector.js  asks V8's inspector
//     driver_mail.js       what the two threads tell each other
//     driver_results.js    values and errors as frames tell them
//     driver_jupyter.js    Deno.jupyter, by which user code shows things
//     driver_output.js     an execution's own stdout and stderr, also for callbacks that outlive it
//     driver_scope.js      environment variables, the directory, the exit, imports
//     driver_channel.js    frames to the supervisor
//     driver_worker.js     the other thread: receives frames, interrupts, and is the inspector's client
//     driver_cells.js      memory that both threads share
//     driver_libc.js       the calls to C that Deno lacks
//     driver_safe.js       references that user code cannot take away
//
// Why no `deno jupyter`: of a syntax error it says only that the execution failed, it loses what subprocesses and
// Deno.stdout.write print, it never answers again after an interrupted await, dies of SIGINT, and cannot tell the output
// of one execution from another's.
//
// How code runs: the worker is a client of its own process's inspector, over a WebSocket. V8 evaluates in REPL mode, where
// const may be declared again and await stands anywhere. An inspector that is evaluating takes no other message, so what
// is evaluated awaits at once, and all user code runs after that: thus the worker can have it terminated.
// node:inspector's Session will not do: when a promise that it waits for is garbage, Deno crashes in its callback.
//
// User code shares the thread, so it can break anything. What the driver needs while user code lives is referred to by
// driver_safe.js or in closures; what the next execution cannot do without is put right before it. Where that is not
// enough, this kernel dies and says so: nothing else does.

import { serve } from "./driver_kernel.js";

serve();

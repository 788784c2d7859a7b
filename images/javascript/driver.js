"use strict";
// The driver of JavaScript and TypeScript: V8's REPL mode, spoken to over file descriptor 3
// (orchestrator/supervisor/doc.go).
//
//     driver.js            boots
//     driver_kernel.js     answers requests, one at a time
//     driver_execution.js  runs one piece of code and tells how it went
//     driver_code.js       turns what people write into what the REPL mode takes
//     driver_results.js    values and errors as frames tell them
//     driver_output.js     an execution's own stdout and stderr, also for callbacks that outlive it
//     driver_scope.js      what user code finds around it: require, variables, the directory
//     driver_channel.js    frames to the supervisor, and the lock that keeps them whole
//     driver_worker.js     the other thread: receives frames, and interrupts
//     driver_libc.js       the calls to C that Node.js lacks
//     driver_safe.js       references that user code cannot take away
//
// User code shares the thread, so it can break anything. What the driver needs while user code lives is referred to by
// driver_safe.js or in closures; what the next execution cannot do without is put right before it. Where that is not
// enough, this kernel dies and says so: nothing else does.

const { serve } = require("./driver_kernel.js");

serve(process.argv[2] === "typescript");

# The driver of R contexts: IRkernel speaks with the supervisor, and what is here runs the code. It differs from what
# IRkernel does by itself in this:
# - what code prints goes to R's own standard output and standard error, and not through a file that is looked at when
#   an expression is over: it comes at once, in order with that of child processes, and cannot fill the disk;
# - the value of a cell's last expression is its main result; those of earlier ones are displayed;
# - an error has the condition's class as its name, and R's own words as its value;
# - an interrupt reaches code of the user only, and warnings are R's own;
# - quit() ends the kernel, with its status.
# User code shares the process: nothing here is looked up where it can put something else by accident.
base::local({
  send <- NULL      # sends a message that belongs to a request
  executor <- NULL  # IRkernel's
  request <- NULL   # the one that is carried out
  count <- 1L       # of the next execution
  nothing <- stats::setNames(list(), character())  # {} in JSON

  # ---- What the supervisor tells beside code: directory and variables, as the base64 of a JSON object. ----

  told <- function(values) {
    jsonlite::fromJSON(rawToChar(jsonlite::base64_dec(values)), simplifyVector = FALSE)
  }

  set_variables <- function(env) if (length(env)) do.call(Sys.setenv, env)

  setup <- function(values) {
    values <- told(values)
    cwd <- if (startsWith(values$cwd, "/")) values$cwd else file.path("/home/user", values$cwd)
    cwd <- normalizePath(cwd, mustWork = FALSE)
    if (!file.exists(cwd) && startsWith(cwd, "/home/user/")) dir.create(cwd, recursive = TRUE, showWarnings = FALSE)
    if (!dir.exists(cwd)) stop(if (file.exists(cwd)) "not a" else "no such", " directory: ", cwd)
    tryCatch(setwd(cwd), error = function(e) stop("permission denied: ", cwd))
    Sys.unsetenv("PWD")  # that of the shell that has started R
    set_variables(values$env)
  }

  saved <- NULL  # the variables that an execution has changed, as they were; NA: not set

  enter <- function(values) {
    env <- told(values)$env
    if (is.null(saved)) saved <<- Sys.getenv(names(env), unset = NA, names = TRUE)
    set_variables(env)
  }

  leave <- function(values) {
    Sys.unsetenv(names(saved)[is.na(saved)])
    set_variables(as.list(saved[!is.na(saved)]))
    saved <<- NULL
  }

  # ---- Plots: a device that draws nothing but keeps what is drawn, from which pages are made when they are over. ----

  last <- NULL     # the page as it was looked at last
  pending <- NULL  # the page that is still to be sent

  open_device <- function(...) {
    grDevices::png("/dev/null", width = 7, height = 7, units = "in", res = 72, type = "cairo")
    grDevices::dev.control("enable")
  }

  is_ours <- function() {
    current <- grDevices::dev.cur()
    current > 1L && identical(attr(base::.Devices[[current]], "filepath"), "/dev/null")
  }

  builds_upon <- function(old, new) {
    length(new) >= length(old) && identical(new[seq_along(old)], old)
  }

  look_at_page <- function(finished = FALSE) {
    # A page of several figures is over when the next one would not find room on it.
    if (!is_ours() || !finished && !graphics::par("page")) return(invisible())
    page <- grDevices::recordPlot()
    if (!evaluate:::makes_visual_change(page[[1]]) || !evaluate:::looks_different(last[[1]], page[[1]])) {
      return(invisible())
    }
    if (!is.null(pending) && !builds_upon(pending[[1]], page[[1]])) send_pending()
    width <- getOption("repr.plot.width", 7)
    height <- getOption("repr.plot.height", 7)
    ppi <- getOption("repr.plot.res", 120) / getOption("jupyter.plot_scale", 2)
    attributes(page)[c(".irkernel_width", ".irkernel_height", ".irkernel_ppi")] <- list(width, height, ppi)
    pending <<- last <<- page
    invisible()
  }

  # A page that is about to begin counts even if it will look as the one before.
  begin_figure <- function(...) {
    look_at_page()
    if (is_ours() && graphics::par("page")) last <<- NULL
  }

  send_page <- function() {
    look_at_page(finished = TRUE)
    send_pending()
  }

  send_pending <- function() {
    page <- pending
    pending <<- NULL
    if (is.null(page)) return(invisible())
    tempdir(check = TRUE)  # user code may have removed it
    device <- grDevices::dev.cur()
    on.exit(if (device > 1L) grDevices::dev.set(device))
    executor$send_plot(page)
  }

  # ---- Code of the user. ----

  display <- function(value, main) {
    IRkernel:::set_last_value(value)
    bundle <- IRkernel:::prepare_mimebundle_kernel(value, function(e) {
      cat("Error while displaying a value: ", conditionMessage(e), "\n", sep = "", file = stderr())
    })
    look_at_page()  # printing a plot draws it
    if (is.null(bundle$data)) return(invisible())
    content <- list(data = bundle$data, metadata = if (length(bundle$metadata)) bundle$metadata else nothing)
    if (main) content$execution_count <- count
    send(if (main) "execute_result" else "display_data", request, "iopub", content)
  }

  error_name <- function(e) {
    name <- class(e)[[1]]
    if (name %in% c("simpleError", "error", "condition")) "Error" else name
  }

  # The calls between the code of a cell and its error; those around them are the driver's and R's own.
  calls_of <- function(calls, depth, handler) {
    calls <- calls[-seq_len(min(depth, length(calls)))]
    is_inner <- function(call) {
      name <- call[[1]]
      identical(name, handler) ||
        identical(name, quote(.handleSimpleError)) || identical(name, quote(.signalSimpleWarning))
    }
    inner <- which(vapply(calls, is_inner, NA))
    if (length(inner)) calls <- calls[seq_len(inner[[1]] - 1L)]
    if (length(calls) && identical(calls[[length(calls)]][[1]], quote(stop))) calls <- calls[-length(calls)]
    calls
  }

  # The call of a condition, where it is one of user code.
  call_of <- function(e) {
    call <- conditionCall(e)
    if (identical(call, quote(eval(expression, .GlobalEnv)))) NULL else call
  }

  traceback_of <- function(e, calls) {
    call <- call_of(e)
    where <- if (is.null(call)) "Error: " else paste0("Error in ", deparse(call, nlines = 1L)[[1]], " : ")
    lines <- paste0(where, conditionMessage(e))
    if (length(calls)) {
      texts <- vapply(calls, function(call) paste(deparse(call, nlines = 3L), collapse = "\n   "), "")
      lines <- c(lines, "Traceback:", paste0(seq_along(texts), ". ", texts))
    }
    as.list(lines)
  }

  # Warnings wait for the end of their top-level expression, as at R's prompt, which the driver never comes back to.
  warned <- list()

  on_warning <- function(w) {
    level <- getOption("warn", 0)
    restart <- computeRestarts(w)
    restart <- Find(function(r) identical(r$name, "muffleWarning"), restart)
    if (level >= 2 || is.null(restart)) return()  # it becomes an error, or is somebody's signal
    if (level == 1) tell_warning("Warning", w)
    if (level == 0 && length(warned) < 50L) warned[[length(warned) + 1L]] <<- w
    invokeRestart(restart)
  }

  tell_warning <- function(title, w) {
    call <- call_of(w)
    where <- if (is.null(call)) "" else paste0("In ", deparse(call, nlines = 1L)[[1]], " : ")
    cat(title, ":\n", where, conditionMessage(w), "\n", sep = "", file = stderr())
  }

  tell_warnings <- function() {
    all <- warned
    warned <<- list()
    for (w in all) tell_warning("Warning message", w)
  }

  run_cell <- function(code) {
    failure <- NULL
    fail <- function(name, value, lines) {
      if (is.null(failure)) failure <<- list(ename = name, evalue = value, traceback = lines)
    }
    depth <- NULL
    in_detail <- function(e) {
      handler <- sys.function()
      calls <- tryCatch(calls_of(sys.calls(), depth, handler), error = function(e) list())
      fail(error_name(e), conditionMessage(e), traceback_of(e, calls))
    }
    in_brief <- function(e) fail(error_name(e), conditionMessage(e), traceback_of(e, NULL))
    evaluate <- function(expression) {
      allowInterrupts(withCallingHandlers(
        withVisible(eval(expression, .GlobalEnv)), error = in_detail, warning = on_warning
      ))
    }
    expressions <- tryCatch(parse(text = code, keep.source = TRUE, encoding = "UTF-8"), error = identity)
    if (inherits(expressions, "error")) {
      value <- conditionMessage(expressions)
      return(list(ename = "parseError", evalue = value, traceback = list(paste0("Error: ", value))))
    }
    tryCatch(
      {
        depth <- evaluate(quote(sys.nframe()))$value
        for (i in seq_along(expressions)) {
          outcome <- evaluate(expressions[[i]])
          tell_warnings()
          allowInterrupts({
            look_at_page()
            if (outcome$visible) display(outcome$value, i == length(expressions))
          })
        }
        allowInterrupts(send_page())
      },
      error = in_brief,
      interrupt = function(e) fail("interrupt", "interrupted", list())
    )
    tell_warnings()
    failure
  }

  # The code of language.json runs among the functions that it calls, and nobody else gets at these.
  run_own <- function(code) {
    here <- environment()
    tryCatch(
      { eval(parse(text = code), here); NULL },
      error = function(e) list(ename = error_name(e), evalue = conditionMessage(e), traceback = list())
    )
  }

  # An interrupt that came late is over. R looks for one at every thousandth step of its loops.
  forget_interrupt <- function() {
    tryCatch(allowInterrupts(for (i in 1:2000) NULL), interrupt = function(e) NULL)
  }

  execute <- function(message) {
    forget_interrupt()
    request <<- message
    code <- message$content$code
    silent <- isTRUE(message$content$silent)
    if (silent) {
      failure <- run_own(code)
    } else {
      executor$current_request <- message  # for what user code displays
      send("execute_input", message, "iopub", list(code = "", execution_count = count))
      failure <- run_cell(code)
      if (!is.null(failure)) send("error", message, "iopub", failure)
    }
    reply <- list(status = if (is.null(failure)) "ok" else "error", execution_count = count)
    send("execute_reply", message, "shell", c(reply, failure))
    if (!silent) count <<- count + 1L
  }

  # ---- Packages of the user's own. ----

  # R takes a library of the user's for one only if it is there, and install.packages() would ask before it makes one.
  make_library <- function() {
    library <- strsplit(Sys.getenv("R_LIBS_USER"), .Platform$path.sep)[[1]][1]
    if (is.na(library) || library %in% .libPaths()) return(invisible())
    dir.create(library, recursive = TRUE, showWarnings = FALSE)
    .libPaths(c(library, .libPaths()))
  }

  install_into_library <- function() {
    install <- utils::install.packages
    body(install) <- bquote({
      if (missing(lib)) .(make_library)()
      .(body(install))
    })
    for (place in list(asNamespace("utils"), as.environment("package:utils"))) {
      unlockBinding("install.packages", place)
      assign("install.packages", install, place)
      lockBinding("install.packages", place)
    }
  }

  # ---- The kernel. ----

  # What the driver is made of comes from the image, whatever the user's own library holds.
  paths <- .libPaths()
  .libPaths(.Library.site, include.site = FALSE)
  loadNamespace("IRkernel")
  .libPaths(paths)
  Sys.unsetenv("R_ENVIRON_USER")
  kernel <- IRkernel:::Kernel$new(connection_file = commandArgs(TRUE)[[1]])
  executor <- kernel$executor
  executor$nframe <- 0L
  send <- kernel$send_response
  methods <- as.environment(executor)
  if (exists("execute", methods, inherits = FALSE)) unlockBinding("execute", methods)
  assign("execute", execute, methods)
  for (event in c("persp", "before.plot.new", "before.grid.newpage")) setHook(event, begin_figure)
  options(device = open_device, keep.source = TRUE, crayon.enabled = FALSE, cli.num_colors = 1L)
  install_into_library()
  tools::Rd2txt_options(underline_titles = FALSE)  # help without control characters

  suspendInterrupts(kernel$run())
}, base::new.env(parent = base::baseenv()))

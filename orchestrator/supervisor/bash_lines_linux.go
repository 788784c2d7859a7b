package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What bash is sent is lines of commands, in which the user's words stand quoted and the user's code does not stand at
// all: it is in a file. Every line names what it runs through \builtin, which neither an alias nor a function of the
// command's name gets in the way of.

// bootLine takes off what interactive bash does for a person at a terminal. The prompts are unset, since a prompt is
// printed for every line.
const bootLine = `\builtin set +o history +m; \builtin unset -v PS1 PS2 PROMPT_COMMAND HISTFILE MAILCHECK` + "\n"

// versionReport is the report of a boot.
func versionReport(token string) string {
	return reportOf(driverBoot, token, `"version":"%s"`, `"$BASH_VERSION"`)
}

// statusReport is a report of the last command's status.
func statusReport(kind, token string) string { return reportOf(kind, token, `"count":%d`, `"$?"`) }

// reportOf returns the line that makes bash send a frame with a member of its own. Descriptor 0 is the channel while no
// code of the user runs.
func reportOf(kind, token, member, argument string) string {
	return fmt.Sprintf(`\builtin printf '{"type":"%s","value":"%s",%s}\n' %s >&0`+"\n", kind, token, member, argument)
}

// setupLine sets variables for good and changes to a directory. What bash keeps for itself (UID, SHELLOPTS) stays.
func setupLine(cwd string, env map[string]string) string {
	var line strings.Builder
	for _, assignment := range assignments(env) {
		line.WriteString(`\builtin export ` + assignment + "; ")
	}
	return line.String() + `\builtin cd -- ` + quote(cwd) + "\n"
}

// promptVariables tell interactive bash what to do before each line that it reads, or how long to wait for one. The lines
// are the supervisor's, so these variables hold while code of the user runs, and not between executions.
var promptVariables = []string{"PROMPT_COMMAND", "PS0", "PS1", "PS2", "TMOUT"}

// splitPrompts returns what of an environment holds always, and what only while code of the user runs.
func splitPrompts(env map[string]string) (always, running map[string]string) {
	always, running = maps.Clone(env), map[string]string{}
	for _, name := range promptVariables {
		if value, ok := env[name]; ok {
			running[name] = value
			delete(always, name)
		}
	}
	return always, running
}

// cellLine says that it has started and runs the cell's code. The redirections are those of the one command that runs
// the code: bash undoes them however it ends, and what traps and set -x say of the other commands goes where nobody
// reads it.
//
// In a file that is sourced, bash says nothing of job numbers and exits as it would to a person. A command before || is
// none that ends the shell under set -e. There is no word here that an alias could replace, such as a brace.
func cellLine(token string, c cell) string {
	var line strings.Builder
	fmt.Fprintf(&line, `\builtin printf '{"type":"%s","value":"%s"}\n' >&0; `, driverStarted, token)
	if c.before != "" {
		line.WriteString(`\builtin source ` + quote(c.before) + " || ")
	}
	main := c.code
	if c.entry != "" {
		main = c.entry
	}
	fmt.Fprintf(&line, "\\builtin source %s </dev/null >%s 2>%s\n", quote(main), quote(c.stdout), quote(c.stderr))
	return line.String()
}

// beforeText is the file that makes $? the status of the cell before.
func beforeText(status int) string { return fmt.Sprintf(`\builtin return %d`+"\n", status) }

// entryText is the file that runs the cell's code with the cell's environment. A variable before the command holds for
// the command, and hides what it is outside. Before \builtin alone it would not reach the code's children, and before .
// alone it would stay in POSIX mode. It is a file, and no group of commands, so that the redirections hold for what bash
// says of the variables, too.
func entryText(code string, env map[string]string) string {
	return strings.Join(assignments(env), " ") + ` \builtin command . ` + quote(code) + "\n"
}

// doneReport is the report of a cell's end.
func doneReport(token string) string { return statusReport(driverDone, token) }

// assignments returns variables as words of a line, sorted by name.
func assignments(env map[string]string) []string {
	words := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		words = append(words, name+"="+quote(env[name]))
	}
	return words
}

// quoting is what has to be written differently between $' and '. A newline would end the line.
var quoting = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)

// quote returns the word that bash reads as a text without NUL.
func quote(text string) string { return "$'" + quoting.Replace(text) + "'" }

// unfit says what bash cannot take of code and environment variables; empty: it takes them.
func unfit(code string, env map[string]string) string {
	if strings.Contains(code, "\x00") {
		return "the code holds a NUL character, which bash cannot take"
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !isVariable(name) {
			return fmt.Sprintf("bash cannot have an environment variable with the name %q", name)
		}
		if strings.Contains(env[name], "\x00") {
			return fmt.Sprintf("the environment variable %s holds a NUL character, which bash cannot take", name)
		}
	}
	return ""
}

// isVariable reports whether bash takes a name for a variable's.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

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

// cellLine says that it has started and runs the cell's code with the cell's environment, where $? is the status of the
// cell before. The redirections are those of the one command that runs the code: bash undoes them however it ends, and
// what traps and set -x say of the other commands goes where nobody reads it. A variable before the command holds for
// the command, and hides what it is outside.
//
// In a file that is sourced, bash says nothing of job numbers and exits as it would to a person. A command before || is
// none that ends the shell under set -e.
func cellLine(token string, status int, c cell, env map[string]string) string {
	streams := fmt.Sprintf("</dev/null >%s 2>%s\n", quote(c.stdout), quote(c.stderr))
	var line strings.Builder
	fmt.Fprintf(&line, `\builtin printf '{"type":"%s","value":"%s"}\n' >&0; `, driverStarted, token)
	if status != 0 {
		fmt.Fprintf(&line, `%[1]s() { \builtin return %[2]d; }; %[1]s || `, statusFunction(token), status)
	}
	if len(env) == 0 {
		return line.String() + `\builtin source ` + quote(c.code) + " " + streams
	}
	// In a group, whose redirections hold for what bash says of the variables, too. Variables before \builtin alone would
	// not reach the code's children, and before . alone they would stay in POSIX mode.
	fmt.Fprintf(&line, `{ %s \builtin command . %s; } %s`, strings.Join(assignments(env), " "), quote(c.code), streams)
	return line.String()
}

// doneReport is the report of a cell's end. It removes what cellLine has defined.
func doneReport(token string) string {
	return strings.TrimSuffix(statusReport(driverDone, token), "\n") + `; \builtin unset -f ` + statusFunction(token) + "\n"
}

// statusFunction is the name of the function that a cell begins with.
func statusFunction(token string) string { return "cubby_" + token }

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

package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// kitContexts is what the kit plays on: a manager whose only contexts are the kit's.
type kitContexts interface {
	Create(ctx context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error)
	List(ctx context.Context) ([]orchestrator.CodeContext, error)
	Execute(ctx context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error)
	Remove(ctx context.Context, id string) error
}

// player plays cases against a language, one at a time.
type player struct {
	contexts kitContexts
	language string        // as contexts are asked for
	patience time.Duration // for one execution. It is no expectation: what takes so long hangs
	kitLanguage
	shared *stage // the context that cases share; nil: the next case makes one
}

// stage is a context that steps run in.
type stage struct {
	id         string
	generation int  // 0: nobody knows
	isSpoiled  bool // something failed in it, as an exception had said
}

// verdict is how a case went: it failed with problems, or passed, but for the exceptions.
type verdict struct {
	problems   []string
	exceptions []string // reasons
	isExcused  bool     // an exception is for the whole case
}

// play plays a case. One in which something failed, as an exception may have said, leaves no context to the next one.
func (p *player) play(ctx context.Context, c kitCase) verdict {
	var v verdict
	if p.shared == nil {
		made, err := p.create(ctx, nil)
		if err != nil {
			return verdict{problems: []string{err.Error()}}
		}
		p.shared = made
	}
	on := p.shared
	reason, excused := p.exceptions[c.name]
	if excused {
		v.exceptions, v.isExcused = append(v.exceptions, reason), true
	}
	failed := false
	for _, s := range c.steps {
		if s.verb == "context" && on != p.shared {
			v.problems = append(v.problems, p.remove(ctx, on)...)
		}
		next, problems := p.step(ctx, c, s, on, &v)
		on = next
		if len(problems) == 0 {
			continue
		}
		failed = true
		if !excused {
			v.problems = append(v.problems, problems...)
		}
		break // what follows builds upon it
	}
	if excused && !failed && p.has(c) {
		v.problems = append(v.problems, fmt.Sprintf("the exception for %s (%s) is not true: the case passes", c.name, reason))
	}
	if on != nil && on != p.shared {
		v.problems = append(v.problems, p.remove(ctx, on)...)
	}
	if failed || len(v.problems) > 0 || p.shared.isSpoiled {
		v.problems = append(v.problems, p.remove(ctx, p.shared)...)
		p.shared = nil
	}
	return v
}

// has reports whether there are snippets for all of a case.
func (p *player) has(c kitCase) bool {
	for _, s := range c.steps {
		if _, ok := p.snippets[c.name+"/"+s.snippet]; s.verb == "run" && !ok {
			return false
		}
	}
	return true
}

// step plays one step of a case and returns the context that the next one runs in.
func (p *player) step(ctx context.Context, c kitCase, s kitStep, on *stage, v *verdict) (next *stage, problems []string) {
	switch s.verb {
	case "context":
		made, err := p.create(ctx, s.vars)
		if err != nil {
			return on, []string{s.say(c, err.Error())}
		}
		return made, nil
	case "refused":
		return on, s.sayAll(c, p.refused(ctx, s))
	}
	id := c.name + "/" + s.snippet
	code, has := p.snippets[id]
	reason, excused := p.exceptions[id]
	if excused {
		v.except(reason)
	}
	if !has {
		return on, nil // an exception says so, else the language would not fit
	}
	problems = p.run(ctx, s, code, on)
	switch {
	case !excused:
		return on, s.sayAll(c, problems)
	case len(problems) == 0:
		return on, []string{s.say(c, fmt.Sprintf("the exception (%s) is not true: the step passes", reason))}
	}
	on.generation, on.isSpoiled = 0, true
	return on, nil
}

// except notes a reason, once.
func (v *verdict) except(reason string) {
	for _, r := range v.exceptions {
		if r == reason {
			return
		}
	}
	v.exceptions = append(v.exceptions, reason)
}

// say puts the place before words.
func (s kitStep) say(c kitCase, words string) string {
	return fmt.Sprintf("kit.txtar:%d: case %s: %s: %s", s.line, c.name, strings.TrimSpace(s.verb+" "+s.snippet), words)
}

func (s kitStep) sayAll(c kitCase, problems []string) []string {
	for i, problem := range problems {
		problems[i] = s.say(c, problem)
	}
	return problems
}

// request makes the request for a context from a step's variables.
func (p *player) request(vars []variable) orchestrator.CreateRequest {
	req := orchestrator.CreateRequest{Language: p.language, Env: map[string]string{}}
	for _, v := range vars {
		if v.name == "cwd" {
			req.Cwd = v.value
		} else {
			req.Env[v.name] = v.value
		}
	}
	return req
}

func (p *player) create(ctx context.Context, vars []variable) (*stage, error) {
	cc, err := p.contexts.Create(ctx, p.request(vars))
	if err != nil {
		return nil, fmt.Errorf("create a context: %w", err)
	}
	return &stage{id: cc.ID, generation: cc.Generation}, nil
}

func (p *player) remove(ctx context.Context, s *stage) []string {
	if err := p.contexts.Remove(context.WithoutCancel(ctx), s.id); err != nil {
		return []string{fmt.Sprintf("remove context %s: %v", s.id, err)}
	}
	return nil
}

// refused: a context that cannot be is refused with words, and is not listed.
func (p *player) refused(ctx context.Context, s kitStep) (problems []string) {
	before, err := p.contexts.List(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	switch cc, err := p.contexts.Create(ctx, p.request(s.vars)); {
	case err == nil:
		problems = append(problems, "it was not refused")
		problems = append(problems, p.remove(ctx, &stage{id: cc.ID})...)
	case !errors.Is(err, orchestrator.ErrInvalid):
		problems = append(problems, fmt.Sprintf("the error is not the user's: %v", err))
	case !strings.Contains(err.Error(), p.value(s.says)):
		problems = append(problems, fmt.Sprintf("the error is %q instead of something with %q", err, p.value(s.says)))
	}
	after, err := p.contexts.List(ctx)
	if err != nil || len(after) != len(before) {
		problems = append(problems, fmt.Sprintf("there are %d contexts instead of %d: %v", len(after), len(before), err))
	}
	return problems
}

// value returns the text of a word. That the language has every value was looked at before.
func (p *player) value(w kitWord) string {
	if w.isValue {
		return p.values[w.text]
	}
	return w.text
}

// run runs a snippet and returns what is not as expected.
func (p *player) run(ctx context.Context, s kitStep, code string, on *stage) []string {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	env := map[string]string{}
	for _, v := range s.vars {
		env[v.name] = v.value
	}
	e, err := p.contexts.Execute(ctx, orchestrator.ExecuteRequest{Context: on.id, Code: code, Env: env, Timeout: s.timeout})
	if err != nil {
		return []string{fmt.Sprintf("execute: %v", err)}
	}
	got := told{generation: e.Generation}
	for interrupting := s.interrupted; ; {
		ev, err := e.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return []string{fmt.Sprintf("it has not ended: %v; stdout is %.300q, stderr %.300q", err, got.stdout.String(), got.stderr.String())}
		}
		got.add(ev)
		if interrupting && ev.Type == kernel.TypeStdout {
			interrupting = false
			e.Interrupt()
		}
	}
	before := on.generation
	on.generation = got.generation
	return s.expected.check(&got, p.value, before)
}

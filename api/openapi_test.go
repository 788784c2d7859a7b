package api_test

import (
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"cubby/api"
	"cubby/api/wire"
)

type node = map[string]any

func definition(t *testing.T) node {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	var doc node
	require.NoError(t, yaml.Unmarshal(text, &doc))
	return doc
}

func TestOpenAPIIsServed(t *testing.T) {
	want, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	res, body := ask(t, "GET", serve(t, api.Config{Contexts: &contexts{t: t}})+"/openapi.yaml", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, string(want), body)
}

func TestOpenAPIHasTheRoutes(t *testing.T) {
	var described []wire.Route
	for path, item := range definition(t)["paths"].(node) {
		for method, operation := range item.(node) {
			if method == "parameters" {
				continue
			}
			described = append(described, wire.Route{Method: strings.ToUpper(method), Path: path})
			for _, member := range []string{"operationId", "summary", "tags", "responses"} {
				require.Contains(t, operation, member, "%s %s", method, path)
			}
			responses := operation.(node)["responses"].(node)
			require.True(t, responses["200"] != nil || responses["201"] != nil, "%s %s", method, path)
			require.Contains(t, responses, "403", "%s %s", method, path)
			require.Equal(t, path != wire.RouteHealth.Path, responses["401"] != nil, "%s %s", method, path)
			require.Equal(t, strings.Contains(path, "{id}"), path != "/execute" && responses["404"] != nil, "%s %s", method, path)
		}
	}
	require.ElementsMatch(t, wire.Routes(), described)
}

func TestOpenAPIHasTheShapes(t *testing.T) {
	schemas := definition(t)["components"].(node)["schemas"].(node)
	for name, shape := range map[string]any{
		"Context": wire.Context{}, "ListedContext": wire.ListedContext{}, "ContextDetail": wire.ContextDetail{}, "Image": wire.Image{}, "Limits": wire.Limits{},
		"CreateContext": wire.CreateContext{}, "Execute": wire.Execute{}, "Error": wire.Error{},
		"ValidationError": wire.ValidationError{}, "Detail": wire.Detail{},
		"NumberOfExecutions": wire.NumberOfExecutions{}, "Output": wire.Output{}, "Result": wire.Result{},
		"ExecutionError": wire.ExecutionError{}, "Gap": wire.Gap{}, "Keepalive": wire.Keepalive{}, "EndOfExecution": wire.EndOfExecution{},
		"StartExecution": wire.StartExecution{}, "Execution": wire.Execution{}, "Outcome": wire.Outcome{}, "Usage": wire.Usage{},
		"EventStarted": wire.EventStarted{}, "EventOutput": wire.EventOutput{}, "EventResult": wire.EventResult{},
		"EventError": wire.EventError{}, "EventGap": wire.EventGap{}, "EventDone": wire.EventDone{}, "Replaced": wire.Replaced{},
	} {
		schema := schemas[name].(node)
		all, required := members(reflect.TypeOf(shape))
		require.ElementsMatch(t, all, slices.Collect(maps.Keys(schema["properties"].(node))), name)
		var listed []string
		for _, member := range asList(schema["required"]) {
			listed = append(listed, member.(string))
		}
		require.ElementsMatch(t, required, listed, "%s: required", name)
	}
}

// members returns the JSON names of a struct's fields, and those that are always there.
func members(shape reflect.Type) (all, required []string) {
	for i := range shape.NumField() {
		field := shape.Field(i)
		if field.Anonymous {
			embedded, always := members(field.Type)
			all, required = append(all, embedded...), append(required, always...)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		all = append(all, name)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return all, required
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

// TestOpenAPIExamplesAreReal: the streams that the definition shows are such as the server sends.
func TestOpenAPIExamplesAreReal(t *testing.T) {
	paths := definition(t)["paths"].(node)
	examples := func(route wire.Route, mediaType string) (lines []string) {
		ok := paths[route.Path].(node)[strings.ToLower(route.Method)].(node)["responses"].(node)["200"].(node)
		for _, example := range ok["content"].(node)[mediaType].(node)["examples"].(node) {
			lines = append(lines, strings.Split(strings.TrimSpace(example.(node)["value"].(string)), "\n")...)
		}
		require.NotEmpty(t, lines)
		return lines
	}
	again := func(line string, parsed any, err error) {
		require.NoError(t, err)
		_, unknown := parsed.(wire.Other)
		require.False(t, unknown, line)
		text, err := wire.Marshal(parsed)
		require.NoError(t, err)
		require.Equal(t, line, string(text))
	}
	for _, line := range examples(wire.RouteExecute, "*/*") {
		parsed, err := wire.ParseLine([]byte(line))
		again(line, parsed, err)
	}
	for _, line := range examples(wire.RouteEvents, "application/x-ndjson") {
		parsed, err := wire.ParseEvent([]byte(line))
		again(line, parsed, err)
	}
}

func TestOpenAPIReferencesResolve(t *testing.T) {
	doc := definition(t)
	used := 0
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case node:
			if ref, ok := value["$ref"].(string); ok {
				used++
				var target any = doc
				for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					require.Contains(t, target, step, ref)
					target = target.(node)[step]
				}
			}
			for _, member := range value {
				walk(member)
			}
		case []any:
			for _, member := range value {
				walk(member)
			}
		}
	}
	walk(doc)
	require.NotZero(t, used)
}

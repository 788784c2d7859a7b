package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/orchestrator"
)

func TestBodiesOfTheWrongShape(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}}) // nothing of this reaches the contexts
	detail := func(kind, loc, msg, input string) string {
		return fmt.Sprintf(`{"detail":[{"type":%q,"loc":[%s],"msg":%q,"input":%s}]}`, kind, loc, msg, input)
	}
	const str = "Input should be a valid string"
	for _, tc := range []struct{ name, path, body, want string }{
		{"no code", "/execute", `{}`, detail("missing", `"body","code"`, "Field required", `{}`)},
		{"code is a number", "/execute", `{"code":1}`, detail("string_type", `"body","code"`, str, `1`)},
		{"code is null", "/execute", `{"code":null}`, detail("string_type", `"body","code"`, str, `null`)},
		{"code is a list", "/execute", `{"code":["a"]}`, detail("string_type", `"body","code"`, str, `["a"]`)},
		{"context_id is a number", "/execute", `{"code":"","context_id":7}`, detail("string_type", `"body","context_id"`, str, `7`)},
		{"language is an object", "/execute", `{"code":"","language":{}}`, detail("string_type", `"body","language"`, str, `{}`)},
		{"env_vars is a list", "/execute", `{"code":"","env_vars":[]}`, detail("dict_type", `"body","env_vars"`, "Input should be a valid dictionary", `[]`)},
		{"a variable is a number", "/execute", `{"code":"","env_vars":{"A":1}}`, detail("string_type", `"body","env_vars","A"`, str, `1`)},
		{"a variable is null", "/execute", `{"code":"","env_vars":{"A":null}}`, detail("string_type", `"body","env_vars","A"`, str, `null`)},
		{"half a character", "/execute", `{"code":"\ud800x"}`, detail("string_unicode", `"body","code"`, "Input should be a valid string, unable to parse raw data as a unicode string", `"\ud800x"`)},
		{"the other half", "/execute", `{"code":"\udc00"}`, detail("string_unicode", `"body","code"`, "Input should be a valid string, unable to parse raw data as a unicode string", `"\udc00"`)},
		{"timeout is a string", "/execute", `{"code":"","timeout_ms":"1s"}`, detail("int_type", `"body","timeout_ms"`, "Input should be a valid integer", `"1s"`)},
		{"timeout is a fraction", "/execute", `{"code":"","timeout_ms":1.5}`, detail("int_type", `"body","timeout_ms"`, "Input should be a valid integer", `1.5`)},
		{"timeout is huge", "/execute", `{"code":"","timeout_ms":1e308}`, detail("int_type", `"body","timeout_ms"`, "Input should be a valid integer", `1e308`)},
		{"timeout overflows", "/execute", `{"code":"","timeout_ms":9223372036854775808}`, detail("less_than_equal", `"body","timeout_ms"`, "Input should be less than or equal to 9223372036854", `9223372036854775808`)},
		{"timeout is 0", "/execute", `{"code":"","timeout_ms":0}`, detail("greater_than_equal", `"body","timeout_ms"`, "Input should be greater than or equal to 1", `0`)},
		{"timeout is negative", "/execute", `{"code":"","timeout_ms":-1}`, detail("greater_than_equal", `"body","timeout_ms"`, "Input should be greater than or equal to 1", `-1`)},
		{"output of nothing", "/execute", `{"code":"","max_output_bytes":0}`, detail("greater_than_equal", `"body","max_output_bytes"`, "Input should be greater than or equal to 1", `0`)},
		{"output overflows", "/execute", `{"code":"","max_output_bytes":9223372036854775808}`, detail("less_than_equal", `"body","max_output_bytes"`, "Input should be less than or equal to 9223372036854775807", `9223372036854775808`)},
		{"a start without code", "/contexts/abc/executions", `{}`, detail("missing", `"body","code"`, "Field required", `{}`)},
		{"a start with what nobody knows", "/contexts/abc/executions", `{"code":"","on_disconnect":"continue"}`, detail("extra_forbidden", `"body","on_disconnect"`, "Extra inputs are not permitted", `"continue"`)},
		{"on_disconnect is unknown", "/execute", `{"code":"","on_disconnect":"stay"}`, detail("literal_error", `"body","on_disconnect"`, "Input should be 'interrupt' or 'continue'", `"stay"`)},
		{"cwd is a number", "/contexts", `{"cwd":1}`, detail("string_type", `"body","cwd"`, str, `1`)},
		{"no body", "/contexts", ``, detail("missing", `"body"`, "Field required", `null`)},
		{"a list", "/execute", `[1]`, detail("model_attributes_type", `"body"`, "Input should be a valid dictionary or object to extract fields from", `[1]`)},
		{"null", "/contexts", `null`, detail("model_attributes_type", `"body"`, "Input should be a valid dictionary or object to extract fields from", `null`)},
		{"long input is not repeated", "/execute", `{"code":["` + strings.Repeat("a", 5000) + `"]}`, detail("string_type", `"body","code"`, str, `null`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := ask(t, "POST", url+tc.path, tc.body)
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
			require.Equal(t, "application/json", res.Header.Get("Content-Type"))
			require.Equal(t, tc.want, body)
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, body := ask(t, "POST", url+"/execute", `{"language":1,"env_vars":{"B":2,"A":3}}`)
		require.Equal(t, 4, strings.Count(body, `"type"`))
	})
}

func TestBodiesThatAreNoJSON(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	for name, body := range map[string]string{
		"cut":               `{"code":"1`,
		"trailing data":     `{"code":""} {"code":""}`,
		"trailing comma":    `{"code":"",}`,
		"NaN":               `{"code":NaN}`,
		"a BOM":             "\ufeff" + `{"code":""}`,
		"invalid UTF-8":     "{\"code\":\"\xff\"}",
		"a raw control":     "{\"code\":\"\x01\"}",
		"a member twice":    `{"code":"a","code":"b"}`,
		"too many members":  `{` + many.String() + `"code":""}`,
		"nested too deeply": `{"code":"","x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		"text":              `print(1)`,
		"a form":            `code=1`,
	} {
		t.Run(name, func(t *testing.T) {
			res, text := ask(t, "POST", url+"/execute", body)
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
			require.Contains(t, text, `"type":"json_invalid"`)
			require.Contains(t, text, `"msg":"JSON decode error"`)
		})
	}
	t.Run("a variable twice", func(t *testing.T) {
		res, _ := ask(t, "POST", url+"/execute", `{"code":"","env_vars":{"A":"1","A":"2"}}`)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
	})
	t.Run("a number beyond all bounds in an unknown member is ignored", func(t *testing.T) {
		url := serve(t, api.Config{Contexts: always(t, nil)})
		res, _ := ask(t, "POST", url+"/execute", `{"code":"","x":1e999999}`)
		require.Equal(t, http.StatusOK, res.StatusCode)
	})
}

func TestContextAndLanguageExcludeOneAnother(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	res, body := ask(t, "POST", url+"/execute", `{"code":"","context_id":"abc","language":"python"}`)
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, "Only one of context_id or language can be provided", body)
}

func TestBodiesThatAreTooLong(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	t.Run("code", func(t *testing.T) {
		res, body := ask(t, "POST", url+"/execute", `{"code":"`+strings.Repeat("a", orchestrator.MaxCode+1)+`"}`)
		require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
		require.Equal(t, "the code may have 4194304 bytes at most", body)
	})
	t.Run("announced: refused unread", func(t *testing.T) {
		conn := dial(t, url)
		fmt.Fprint(conn, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
		require.True(t, res.Close)
	})
	t.Run("endless chunks: refused on the way", func(t *testing.T) {
		conn := dial(t, url)
		fmt.Fprint(conn, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		status := make(chan int, 1)
		go func() {
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				status <- 0
				return
			}
			_ = res.Body.Close()
			status <- res.StatusCode
		}()
		chunk := "10000\r\n" + strings.Repeat(" ", 64<<10) + "\r\n"
		const endless = 256 << 20 // more than a server takes and all buffers on the way hold
		sent := 0
		for ; sent < endless; sent += 64 << 10 {
			if _, err := io.WriteString(conn, chunk); err != nil {
				break
			}
		}
		require.Less(t, sent, endless, "the server hangs up")
		require.Contains(t, []int{0, http.StatusRequestEntityTooLarge}, <-status) // 0: the reset overtook the answer
	})
	t.Run("shorter than announced", func(t *testing.T) {
		conn := dial(t, url)
		fmt.Fprint(conn, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}")
		require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusBadRequest, res.StatusCode)
		}
	})
}

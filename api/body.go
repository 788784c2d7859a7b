package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cubby/api/wire"
	"cubby/orchestrator"
)

const (
	// maxBody holds the longest code with every byte escaped as \u00XX, and a megabyte of everything else.
	maxBody = 6*orchestrator.MaxCode + 1<<20
	// maxMembers bounds the members of one JSON object.
	maxMembers = 1024
	// maxEchoed is the longest input that a 422 repeats, in bytes.
	maxEchoed = 1 << 10
	// maxTimeoutMS is the longest timeout that a time.Duration holds; the orchestrator's limit is far below.
	maxTimeoutMS = math.MaxInt64 / int64(time.Millisecond)
)

// object is a request's body, and what is wrong with it. Unknown members are ignored, as E2B's clients expect, unless
// only is called; faults are described in the words of its server (FastAPI).
type object struct {
	raw     json.RawMessage
	members map[string]json.RawMessage
	detail  []wire.Detail
}

// readObject reads a request's body, which must be one JSON object in UTF-8 and nothing after it.
func readObject(w http.ResponseWriter, r *http.Request) (*object, error) {
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	if answer, ok := w.(*response); ok {
		w = answer.ResponseWriter // net/http closes the connection of one that sends too much
	}
	var raw bytes.Buffer
	raw.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // so that it is not copied as it grows
	_, err := raw.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{http.StatusRequestTimeout, "the body came too slowly"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "the body could not be read to its end"}
	}
	return parseObject(raw.Bytes())
}

func tooLarge() error {
	return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the code may have %d bytes at most", orchestrator.MaxCode)}
}

func parseObject(raw []byte) (*object, error) {
	var syntax *json.SyntaxError
	err := json.Unmarshal(raw, new(unread))
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, &bodyError{[]wire.Detail{{Type: "missing", Loc: []any{"body"}, Msg: "Field required"}}}
	case !utf8.Valid(raw):
		return nil, notJSON(0, "the body is no UTF-8")
	case errors.As(err, &syntax):
		return nil, notJSON(syntax.Offset, syntax.Error())
	case err != nil:
		return nil, notJSON(0, err.Error())
	case bytes.TrimSpace(raw)[0] != '{':
		return nil, &bodyError{[]wire.Detail{fault(raw, "model_attributes_type",
			"Input should be a valid dictionary or object to extract fields from")}}
	}
	members, err := membersOf(raw)
	if err != nil {
		return nil, notJSON(0, err.Error())
	}
	return &object{raw: raw, members: members}, nil
}

func notJSON(offset int64, why string) error {
	return &bodyError{[]wire.Detail{{
		Type: "json_invalid", Loc: []any{"body", offset}, Msg: "JSON decode error",
		Input: json.RawMessage("{}"), Ctx: map[string]any{"error": why},
	}}}
}

// unread takes any JSON value without a copy of it.
type unread struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*unread) UnmarshalJSON([]byte) error { return nil }

// membersOf splits a valid JSON object; the values are parts of it. A name that comes twice is an error: two readers of
// it could see two things.
func membersOf(raw json.RawMessage) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		begin := dec.InputOffset()
		if err := dec.Decode(new(unread)); err != nil {
			return nil, err
		}
		value := bytes.TrimLeft(raw[begin:dec.InputOffset()], ": \t\r\n")
		key := name.(string) // the grammar of JSON
		if _, twice := members[key]; twice {
			return nil, fmt.Errorf("member %.64q comes twice", key)
		}
		if members[key] = value; len(members) > maxMembers {
			return nil, fmt.Errorf("more than %d members", maxMembers)
		}
	}
	return members, nil
}

// err returns what is wrong with the members that were asked for.
func (o *object) err() error {
	if len(o.detail) == 0 {
		return nil
	}
	return &bodyError{o.detail}
}

// text returns a required string.
func (o *object) text(name string) string {
	raw, ok := o.members[name]
	if !ok {
		o.detail = append(o.detail, fault(o.raw, "missing", "Field required", name))
		return ""
	}
	return o.string(raw, name)
}

// optionalText returns a string, "" if it is absent or null.
func (o *object) optionalText(name string) string {
	if !o.has(name) {
		return ""
	}
	return o.string(o.members[name], name)
}

// texts returns an object of strings, nil if it is absent or null.
func (o *object) texts(name string) map[string]string {
	raw := o.members[name]
	if !o.has(name) {
		return nil
	}
	if raw[0] != '{' {
		o.detail = append(o.detail, fault(raw, "dict_type", "Input should be a valid dictionary", name))
		return nil
	}
	members, err := membersOf(raw)
	if err != nil {
		o.detail = append(o.detail, fault(raw, "value_error", "Value error, "+err.Error(), name))
		return nil
	}
	texts := make(map[string]string, len(members))
	for _, key := range slices.Sorted(maps.Keys(members)) {
		texts[key] = o.string(members[key], name, key)
	}
	return texts
}

// timeout returns a number of milliseconds, 0 if it is absent or null. There is no number that means "none".
func (o *object) timeout(name string) time.Duration {
	return time.Duration(o.count(name, maxTimeoutMS)) * time.Millisecond
}

// count returns a number from 1 to most, 0 if it is absent or null.
func (o *object) count(name string, most int64) int64 {
	if !o.has(name) {
		return 0
	}
	raw := o.members[name]
	number, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		o.detail = append(o.detail, fault(raw, "int_type", "Input should be a valid integer", name))
		return 0
	case number < 1:
		o.detail = append(o.detail, fault(raw, "greater_than_equal", "Input should be greater than or equal to 1", name))
		return 0
	case number > most || err != nil:
		o.detail = append(o.detail, fault(raw, "less_than_equal", fmt.Sprintf("Input should be less than or equal to %d", most), name))
		return 0
	}
	return number
}

// only finds fault with the members that are not among the names.
func (o *object) only(names ...string) {
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if !slices.Contains(names, name) {
			o.detail = append(o.detail, fault(o.members[name], "extra_forbidden", "Extra inputs are not permitted", name))
		}
	}
}

// has reports whether a member is there and not null.
func (o *object) has(name string) bool {
	raw, ok := o.members[name]
	return ok && string(raw) != "null"
}

func (o *object) string(raw json.RawMessage, loc ...any) string {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		o.detail = append(o.detail, fault(raw, "string_type", "Input should be a valid string", loc...))
		return ""
	}
	if strings.ContainsRune(*text, utf8.RuneError) && hasLoneSurrogate(raw) { // which Go has replaced
		o.detail = append(o.detail, fault(raw, "string_unicode",
			"Input should be a valid string, unable to parse raw data as a unicode string", loc...))
	}
	return *text
}

// fault describes what is wrong with one input.
func fault(input json.RawMessage, kind, msg string, loc ...any) wire.Detail {
	if len(input) > maxEchoed {
		input = nil
	}
	return wire.Detail{Type: kind, Loc: append([]any{"body"}, loc...), Msg: msg, Input: input}
}

// hasLoneSurrogate reports whether a JSON string escapes half of a character.
func hasLoneSurrogate(raw []byte) bool {
	unit := func(at int) uint64 { // of the \uXXXX at this index; 0 if there is none
		if at+6 > len(raw) || raw[at] != '\\' || raw[at+1] != 'u' {
			return 0
		}
		value, _ := strconv.ParseUint(string(raw[at+2:at+6]), 16, 16)
		return value
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		switch first, second := unit(i), unit(i+6); {
		case first >= 0xDC00 && first < 0xE000:
			return true
		case first >= 0xD800 && first < 0xDC00:
			if second < 0xDC00 || second >= 0xE000 {
				return true
			}
			i += 11
		default:
			i++ // the escaped character can be a backslash
		}
	}
	return false
}

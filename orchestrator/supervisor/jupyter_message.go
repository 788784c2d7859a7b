package supervisor

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"cubby/orchestrator/kernel"
)

// The bounds of what is taken of a message.
const (
	// maxContent is how long a content is read whole. It is more than a frame, so that one long text comes whole.
	maxContent = 2 * kernel.MaxFrame
	// maxHeader is the longest header.
	maxHeader = 64 << 10
)

// jupyterDelimiter separates the identities of a message from what is signed.
var jupyterDelimiter = []byte("<IDS|MSG>")

// jupyterVersion is the version of the messaging protocol that we speak.
const jupyterVersion = "5.3"

// The types of messages that an adapter knows.
const (
	jupyterKernelInfo   = "kernel_info_request"
	jupyterExecute      = "execute_request"
	jupyterInterrupt    = "interrupt_request"
	jupyterShutdown     = "shutdown_request"
	jupyterExecuteReply = "execute_reply"
	jupyterInputRequest = "input_request"
	jupyterInputReply   = "input_reply"
	jupyterStatus       = "status"
	jupyterInput        = "execute_input"
	jupyterStream       = "stream"
	jupyterDisplay      = "display_data"
	jupyterResult       = "execute_result"
	jupyterError        = "error"
)

// jupyterMessage is a message from a kernel.
type jupyterMessage struct {
	kind    string
	parent  string // the id of the request that it belongs to
	content zmtpPart
	header  json.RawMessage
	forged  bool // its signature is wrong, or it is no message at all
}

// jupyterHeader is the header of a message.
type jupyterHeader struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Kind     string `json:"msg_type"`
	Version  string `json:"version"`
}

// jupyterSigner makes and checks messages of one session.
type jupyterSigner struct {
	key     string
	session string
}

// newSigner returns a signer with a key of its own.
func newSigner() jupyterSigner { return jupyterSigner{key: rand.Text(), session: rand.Text()} }

// sum returns the signature of nothing yet.
func (s jupyterSigner) sum() hash.Hash { return hmac.New(sha256.New, []byte(s.key)) }

// message returns the parts of a message. The parent is the header of what it answers, or nil.
func (s jupyterSigner) message(kind, id string, parent, content any) ([][]byte, error) {
	header := jupyterHeader{
		ID: id, Session: s.session, Username: "user", Date: time.Now().UTC().Format(time.RFC3339Nano),
		Kind: kind, Version: jupyterVersion,
	}
	if parent == nil {
		parent = struct{}{}
	}
	sum := s.sum()
	parts := [][]byte{jupyterDelimiter, nil}
	for _, value := range []any{header, parent, struct{}{}, content} {
		part, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode the kernel's %s: %w", kind, err)
		}
		sum.Write(part)
		parts = append(parts, part)
	}
	parts[1] = []byte(hex.EncodeToString(sum.Sum(nil)))
	return parts, nil
}

// receive reads the next message. An error is one of the connection; what is no proper message comes as forged.
func (s jupyterSigner) receive(z *zmtpConn) (msg jupyterMessage, err error) {
	sum := s.sum()
	var parts []zmtpPart // from the signature on
	begun := false
	for more := true; more; {
		var size int64
		if more, size, err = z.skipCommands(); err != nil {
			return msg, err
		}
		switch {
		case !begun:
			part, err := z.read(size, maxHeader, s.sum())
			if err != nil {
				return msg, err
			}
			begun = bytes.Equal(part.head, jupyterDelimiter)
		case len(parts) < len(jupyterLimits):
			to := sum
			if len(parts) == 0 {
				to = s.sum() // the signature itself
			}
			part, err := z.read(size, jupyterLimits[len(parts)], to)
			if err != nil {
				return msg, err
			}
			parts = append(parts, part)
		default: // buffers of comms
			if _, err := io.CopyN(io.Discard, z.in, size); err != nil {
				return msg, err
			}
		}
	}
	if len(parts) < len(jupyterLimits) || !hmac.Equal(parts[0].head, []byte(hex.EncodeToString(sum.Sum(nil)))) {
		return jupyterMessage{forged: true}, nil
	}
	var own, parent jupyterHeader
	msg = jupyterMessage{content: parts[4], header: parts[1].head}
	msg.forged = json.Unmarshal(parts[1].head, &own) != nil
	_ = json.Unmarshal(parts[2].head, &parent) // one without a parent belongs to nobody
	msg.kind, msg.parent = own.Kind, parent.ID
	return msg, nil
}

// jupyterLimits are how long the parts of a message may be: signature, header, parent's header, metadata, content.
var jupyterLimits = []int64{maxHeader, maxHeader, maxHeader, maxHeader, maxContent}

// jupyterContent is what we read of the contents of messages.
type jupyterContent struct {
	Status    string     `json:"status"` // replies: ok, error, aborted; IRkernel says abort for interrupted
	Count     int        `json:"execution_count"`
	State     string     `json:"execution_state"` // status
	Name      string     `json:"name"`            // stream: stdout or stderr
	Text      string     `json:"text"`
	Data      mimeBundle `json:"data"`  // results
	Ename     string     `json:"ename"` // errors
	Evalue    string     `json:"evalue"`
	Traceback fewTexts   `json:"traceback"`
	Language  struct {
		Version string `json:"version"`
	} `json:"language_info"`
	Payload fewPayloads `json:"payload"`
}

// maxElements is how many elements of a list are taken. An element is small, but what it costs in memory is not.
const maxElements = 4096

// fewTexts are the texts of a list, and fewPayloads its payloads, as far as they are taken.
type (
	fewTexts    []string
	fewPayloads []jupyterPayload
)

// jupyterPayload is what a reply to an execution asks of whoever has sent the request.
type jupyterPayload struct {
	Source string `json:"source"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *fewTexts) UnmarshalJSON(data []byte) error { return unmarshalFew(data, (*[]string)(t)) }

// UnmarshalJSON implements json.Unmarshaler.
func (p *fewPayloads) UnmarshalJSON(data []byte) error {
	return unmarshalFew(data, (*[]jupyterPayload)(p))
}

// unmarshalFew decodes the first elements of a list; null is none.
func unmarshalFew[E any](data []byte, list *[]E) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	open, err := decoder.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('[') {
		return fmt.Errorf("no list but %.80q", data)
	}
	for decoder.More() && len(*list) < maxElements {
		var element E
		if err := decoder.Decode(&element); err != nil {
			return err
		}
		*list = append(*list, element)
	}
	return nil
}

// read decodes a content. Of one that is too long it has what can be told of it instead: a stream or an error without its
// middle, or a note in place of a result. It reports whether there is anything.
func (m *jupyterMessage) read() (content jupyterContent, ok bool) {
	c := &m.content
	if c.whole() {
		return content, json.Unmarshal(c.head, &content) == nil
	}
	switch m.kind {
	case jupyterDisplay, jupyterResult:
		_, types := sketch(c.head)
		content.Data = noteOf(types, c.size)
		return content, true
	case jupyterStream, jupyterError, jupyterExecuteReply:
		ok = rejoin(c.head, c.tail, int(c.size), func(text []byte) bool {
			content = jupyterContent{}
			return json.Unmarshal(text, &content) == nil
		})
		if m.kind == jupyterError && len(content.Traceback) == 0 {
			content.Traceback = fewTexts{content.Ename + ": " + content.Evalue}
		}
		return content, ok
	default:
		return content, false
	}
}

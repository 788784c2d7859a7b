package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cubby/orchestrator/kernel"
)

// The bounds of what is told of a result or error.
const (
	// maxErrorText is how much of each text of an error is kept when the whole does not fit a frame.
	maxErrorText = 256 << 10
	// maxTypes is how many MIME types a result may have. A frame has room for a million, each of which costs whoever
	// reads it many times its length.
	maxTypes = 64
	// maxTypeName is the length of the longest name of a MIME type.
	maxTypeName = 256
)

// mimeBundle is a result's data. One with too many or too long MIME types becomes a note about itself while it is read.
type mimeBundle map[string]json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (b *mimeBundle) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	open, err := decoder.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("data of a result is no object but %.80q", data)
	}
	bundle := mimeBundle{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		mime, _ := key.(string)
		if len(bundle) == maxTypes || len(mime) > maxTypeName {
			*b = note(fmt.Sprintf("[result of %d bytes left out: more than %d MIME types, or one longer than %d bytes]",
				len(data), maxTypes, maxTypeName))
			return nil
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		bundle[mime] = value
	}
	*b = bundle
	return nil
}

// tooLarge returns what is told instead of a result or error whose frame, of size bytes, is too long.
func tooLarge(ev kernel.Event, size int) kernel.Event {
	if ev.Type == kernel.TypeError {
		ev.Name = shorten(ev.Name)
		ev.Value = shorten(ev.Value)
		ev.Traceback = shorten(ev.Traceback)
		return ev
	}
	types := make([]string, 0, len(ev.Data))
	for mime := range ev.Data {
		types = append(types, mime)
	}
	slices.Sort(types)
	ev.Data = noteOf(types, int64(size))
	return ev
}

// noteOf returns a result's data that says which result was too large to be shown.
func noteOf(types []string, size int64) map[string]json.RawMessage {
	text := fmt.Sprintf("[result of %d bytes left out: more than the %d MiB that fit a frame]", size, kernel.MaxFrame>>20)
	if len(types) > 0 {
		text = fmt.Sprintf("[%s of %d bytes left out: more than the %d MiB that fit a frame]",
			shorten(strings.Join(types, ", ")), size, kernel.MaxFrame>>20)
	}
	return note(text)
}

// note returns a result's data that is a text alone.
func note(text string) map[string]json.RawMessage {
	value, err := json.Marshal(text)
	if err != nil {
		value = []byte(`""`)
	}
	return map[string]json.RawMessage{"text/plain": value}
}

// shorten cuts the middle out of a text that is too long.
func shorten(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	half := maxErrorText / 2
	return strings.ToValidUTF8(text[:half], "") +
		fmt.Sprintf("\n[%d bytes left out]\n", len(text)-2*half) +
		strings.ToValidUTF8(text[len(text)-half:], "")
}

// sketch reads the beginning of a driver's frame that is too long to be read whole: its type, whether it is the main
// result, and the MIME types that the beginning names.
func sketch(beginning []byte) (frame driverFrame, types []string) {
	decoder := json.NewDecoder(bytes.NewReader(beginning))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return frame, nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return frame, types
		}
		switch key {
		case "type":
			err = decoder.Decode(&frame.Type)
		case "main":
			err = decoder.Decode(&frame.Main)
		case "name":
			err = decoder.Decode(&frame.Name)
		case "data":
			types, err = mimeTypes(decoder)
		default:
			err = decoder.Decode(new(json.RawMessage))
		}
		if err != nil {
			return frame, types
		}
	}
	return frame, types
}

// mimeTypes reads the keys of an object as far as it goes.
func mimeTypes(decoder *json.Decoder) (types []string, err error) {
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return types, err
		}
		if mime, ok := key.(string); ok {
			types = append(types, mime)
		}
		if err := decoder.Decode(new(json.RawMessage)); err != nil {
			return types, err
		}
	}
	_, err = decoder.Token()
	return types, err
}

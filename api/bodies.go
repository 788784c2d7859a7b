package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"cubby/orchestrator"
)

const (
	// smallBody is the longest body that never waits for others, and the unit in which longer ones are counted.
	smallBody = 64 << 10
	// maxBodies bounds the long bodies that are read and decoded at once, in bytes.
	maxBodies = 64 << 20
	// bodyPatience is how long a long body waits for those before it. The time to read the request goes on meanwhile.
	bodyPatience = 10 * time.Second
)

// bodies bounds the memory of the requests that are being read. Long ones enter one after the other, in the order in
// which they come, so a very long one is not overtaken for ever.
type bodies struct {
	turn  chan struct{} // capacity 1
	units chan struct{} // one for each smallBody of the bodies inside
}

func newBodies() *bodies {
	return &bodies{turn: make(chan struct{}, 1), units: make(chan struct{}, maxBodies/smallBody)}
}

// enter waits until there is room for a request's body. Who has read and decoded it leaves. The error is ErrCapacity
// when there is no room for longer than bodyPatience.
func (b *bodies) enter(r *http.Request) (leave func(), err error) {
	length := r.ContentLength
	if length < 0 { // unknown
		length = maxBody
	}
	if length <= smallBody || length > maxBody { // the latter are refused unread
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), bodyPatience)
	defer cancel()
	if !put(ctx, b.turn) {
		return nil, b.full(r)
	}
	defer func() { <-b.turn }()
	taken := 0
	leave = func() {
		for range taken {
			<-b.units
		}
	}
	for range (length + smallBody - 1) / smallBody {
		if !put(ctx, b.units) {
			leave()
			return nil, b.full(r)
		}
		taken++
	}
	return leave, nil
}

// readBody reads a request's body once there is room for it. Who has decoded it leaves.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body *object, leave func(), err error) {
	if leave, err = s.bodies.enter(r); err != nil {
		return nil, nil, err
	}
	if body, err = readObject(w, r); err != nil {
		leave()
		return nil, nil, err
	}
	return body, leave, nil
}

// full tells why a body did not enter.
func (b *bodies) full(r *http.Request) error {
	if err := r.Context().Err(); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return fmt.Errorf("%w: this server reads as many long requests as it may", orchestrator.ErrCapacity)
}

// put adds one, or gives up with ctx.
func put(ctx context.Context, to chan<- struct{}) bool {
	select {
	case to <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

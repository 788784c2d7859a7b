package api

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"cubby/api/wire"
	"cubby/orchestrator"
)

// removeTimeout bounds a discard.
const removeTimeout = time.Minute

//go:embed openapi.yaml
var definition []byte

// idShape is what an id must look like before anything is asked about it.
var idShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, "OK")
}

func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	if _, err := w.Write(definition); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) error {
	req, err := s.readCreate(w, r)
	if err != nil {
		return err
	}
	cc, err := s.Contexts.Create(r.Context(), req)
	if err != nil {
		return &action{"Failed to create context", err}
	}
	if r.Context().Err() == nil {
		err = writeJSON(w, http.StatusOK, shortOf(cc))
	} else {
		err = errClientGone
	}
	if err != nil { // nobody knows of it
		s.discard(r.Context(), cc.ID)
	}
	return err
}

// readCreate reads the body of a create.
func (s *Server) readCreate(w http.ResponseWriter, r *http.Request) (req orchestrator.CreateRequest, err error) {
	body, leave, err := s.readBody(w, r)
	if err != nil {
		return req, err
	}
	defer leave()
	req = orchestrator.CreateRequest{
		Language: body.optionalText("language"), Cwd: body.optionalText("cwd"), Env: body.texts("env_vars"),
	}
	return req, body.err()
}

// discard removes a context whose client left before it learnt of it.
func (s *Server) discard(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if err := s.Contexts.Remove(ctx, id); err != nil {
		s.log.ErrorContext(ctx, "context of a client that has left not removed", "context", id, "error", err)
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	contexts, err := s.Contexts.List(r.Context())
	if err != nil {
		return err
	}
	listed := make([]wire.ListedContext, 0, len(contexts))
	for _, cc := range contexts {
		listed = append(listed, wire.ListedContext{Context: shortOf(cc), State: string(cc.State)})
	}
	return writeJSON(w, http.StatusOK, listed)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	cc, err := s.Contexts.Get(r.Context(), id)
	if err != nil {
		return attempted("Failed to look up context "+id, id, err)
	}
	return writeJSON(w, http.StatusOK, detailOf(cc))
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.Contexts.Remove(r.Context(), id); err != nil {
		return attempted("Failed to remove context "+id, id, err)
	}
	return writeJSON(w, http.StatusOK, nil)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Contexts.Restart(r.Context(), id); err != nil {
		return attempted("Failed to restart context "+id, id, err)
	}
	return writeJSON(w, http.StatusOK, nil)
}

func (s *Server) interrupt(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.Contexts.Interrupt(r.Context(), id); err != nil {
		return attempted("Failed to interrupt context "+id, id, err)
	}
	return writeJSON(w, http.StatusOK, nil)
}

// pathID returns the id in the path. One that cannot exist is answered like one that does not.
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !idShape.MatchString(id) {
		return "", contextNotFound(id)
	}
	return id, nil
}

func shortOf(cc orchestrator.CodeContext) wire.Context {
	return wire.Context{ID: cc.ID, ContextID: cc.ID, Language: cc.Language, Cwd: cc.Cwd}
}

func detailOf(cc orchestrator.CodeContext) wire.ContextDetail {
	return wire.ContextDetail{
		Context: shortOf(cc), Generation: cc.Generation, State: string(cc.State), Reason: cc.Reason,
		Image: wire.Image{ID: cc.Image.ID, Tag: cc.Image.Tag}, Sandbox: cc.Sandbox,
		CreatedAt: cc.CreatedAt.UTC(), LastUsedAt: cc.LastUsedAt.UTC(),
		Limits: wire.Limits{
			MemoryBytes: cc.Limits.MemoryBytes, CPUs: cc.Limits.CPUs, PIDs: cc.Limits.PIDs, FileBytes: cc.Limits.FileBytes,
		},
		Network: string(cc.Network),
	}
}

package api

import (
	"errors"
	"math"
	"net/http"

	"cubby/api/wire"
	"cubby/orchestrator"
)

func (s *Server) execute(w http.ResponseWriter, r *http.Request) error {
	req, stay, err := s.readExecute(w, r)
	if err != nil {
		return err
	}
	e, err := s.Contexts.Execute(r.Context(), req)
	switch {
	case errors.Is(err, orchestrator.ErrNotFound):
		return contextNotFound(req.Context)
	case errors.Is(err, orchestrator.ErrUnknownLanguage), errors.Is(err, orchestrator.ErrImageMissing),
		errors.Is(err, orchestrator.ErrNoBoot):
		return &action{"Failed to create context", err}
	case err != nil:
		return err
	}
	w.Header()["Content-Type"] = nil // E2B sends none
	w.Header().Set(wire.HeaderExecutionID, e.ID)
	err = s.relay(r.Context(), w, e, &translation{generation: e.Generation})
	if err != nil {
		s.readOn(e, stay)
	}
	return err
}

// readExecute reads the body of an execute. stay says that the execution goes on when its client leaves.
func (s *Server) readExecute(w http.ResponseWriter, r *http.Request) (req orchestrator.ExecuteRequest, stay bool, err error) {
	body, leave, err := s.readBody(w, r)
	if err != nil {
		return req, false, err
	}
	defer leave()
	req = orchestrator.ExecuteRequest{
		Context: body.optionalText("context_id"), Language: body.optionalText("language"),
		Code: body.text("code"), Env: body.texts("env_vars"), Timeout: body.timeout("timeout_ms"),
		MaxOutput: body.count("max_output_bytes", math.MaxInt64),
	}
	switch body.optionalText("on_disconnect") {
	case "", wire.OnDisconnectInterrupt:
	case wire.OnDisconnectContinue:
		stay = true
	default:
		body.detail = append(body.detail, fault(body.members["on_disconnect"], "literal_error",
			"Input should be 'interrupt' or 'continue'", "on_disconnect"))
	}
	switch {
	case body.err() != nil:
		return req, false, body.err()
	case req.Context != "" && req.Language != "":
		return req, false, &refusal{http.StatusBadRequest, "Only one of context_id or language can be provided"}
	case req.Context != "" && !idShape.MatchString(req.Context):
		return req, false, contextNotFound(req.Context)
	case len(req.Code) > orchestrator.MaxCode:
		return req, false, tooLarge()
	}
	return req, stay, nil
}

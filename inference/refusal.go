package inference

// refused is why a request that has not been submitted cannot be taken now.
func (e *Engine) refused(r Request) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal(r.ID, load{answer: min(max(r.MaxTokens, 1), e.info.Context), deadline: r.Deadline})
}

// refusal is why a request of this id cannot be taken now. e.mu is held.
func (e *Engine) refusal(id string, l load) error {
	switch {
	case e.refuse != nil:
		return &Error{Code: CodeUnhealthy, Retriable: true, Err: e.refuse}
	case e.inFlight[id]:
		return &Error{Code: CodeInvalidRequest, Field: "job_id", Err: ErrDuplicate}
	}
	if err := e.admission.full(len(e.line)); err != nil {
		return err
	}
	if err := e.admission.decide(e.now(), l, e.lineup()); err != nil {
		return err
	}
	return nil
}

// lineup is what each request in flight still asks. e.mu is held.
func (e *Engine) lineup() []load {
	e.loads = e.loads[:0]
	for _, q := range e.line {
		e.loads = append(e.loads, q.load())
	}
	return e.loads
}

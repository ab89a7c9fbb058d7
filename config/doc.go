// Package config turns defaults, a YAML file, the environment and the command line into one Config.
//
// A later source overrides an earlier one:
//
//	defaults < file (--config or LLORCH_CONFIG) < credential < LLORCH_* environment < flags
//
// Credentials are the files that a service manager puts into $CREDENTIALS_DIRECTORY: the tokens api-token and
// admin-token, and callback-secret, tls-cert, tls-key and tls-client-ca, whose paths are the settings.
//
// Every setting has one name: the YAML key max_queue is the variable LLORCH_MAX_QUEUE and the flag --max-queue. One
// table (settings.go) holds them all, so a setting cannot exist in one source and be missing in another, and a value
// is read by the same rules wherever it stands.
//
// What always holds:
//   - A Config that Load returned has passed Validate. ValidateServe adds what only a serving worker needs: a model
//     and a port.
//   - Errors about what the user wrote wrap ErrUsage and name the source as the user spelled it (--port, LLORCH_PORT,
//     worker.yaml: port). The program ends with status 2 on them.
//   - No secret is printed: the token's type prints as "[set]", and no error carries its value.
//
// Decisions:
//
// Managers of several generations spawn this worker, and each has its own words. All of them are accepted. Words for
// the same thing (--kv-cache-size-mb, --api-key, --cuda-device …) fold into one value inside their source; two that
// disagree in one source are an error, never a silent choice. A flag that means nothing here is accepted and told in
// Config.Notes, so that a manager's fixed command line still starts a worker.
//
// --gpu and --gpu-device are an index and not a kind: they were required flags of a worker that had one kind of
// device, so managers pass them always. Beside an explicit CPU they say nothing and are noted; --cuda-device and
// --metal-device do name a kind and contradict a CPU.
//
// --local-mode with a token: the worker listens on loopback only and still asks for the token. An older worker refused
// to start in this case; that protected nobody, and asking for a token that was set can only be safer than not to.
//
// An empty LLORCH_* variable counts as unset (that is what a template with an empty value means), an empty --api-key
// is an error: a worker must not be open because somebody's variable was empty on the command line.
//
// A duration needs its unit (5s); a bare number is refused rather than read as nanoseconds. A key of the file that is
// not in the table is an error; an unknown LLORCH_ variable is only noted, since other tools share the prefix.
package config

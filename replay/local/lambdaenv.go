package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/capture/runtimeapi"
	"tandem/capture/wiretap"
)

// An environment is one process of a function and what it is connected to. It works on one invocation at a time, and
// lives until its process dies or is killed.
type environment struct {
	log      *environmentLog
	host     *runtimeapi.Host
	port     *effects.Port        // nil when nobody watches
	recorder *runtimeapi.Recorder // nil when nobody records
	wire     *wiretap.Wire        // what the recorder sees
	process  *process             // nil when it could not be started
}

var errTimedOut = errors.New("timed out")

// jobResult is how a job ended: with a response, or with an error when the platform could not run it.
type jobResult struct {
	response *LambdaResponse
	err      error
}

// run runs one job in env, or in a new environment when env is nil or dead, and gives the environment back.
func (l *Lambda) run(j *job, env *environment) jobResult {
	if env != nil && !env.process.alive() {
		env.close() //nolint:errcheck // it is gone; what comes next starts afresh
		env = nil
	}
	var initTime time.Duration
	var failed *runtimeapi.Response
	if env == nil {
		var err error
		started := time.Now()
		env, failed, err = l.start(j)
		if err != nil {
			j.function.pool.release(nil)
			return jobResult{err: fmt.Errorf("environment of %s: %w", j.function.Name, err)}
		}
		initTime = time.Since(started)
	} else {
		env.log.begin()
	}
	result, usable := l.work(j, env, initTime, failed)
	if !usable {
		if err := env.close(); result.response == nil {
			result.err = errors.Join(result.err, err) // else the answer counts for more
		}
		env = nil
	}
	j.function.pool.release(env)
	return result
}

// work has env handle j and logs how that went. Failed is set when env could not be initialized; it is then the
// answer. Usable tells whether env can take another job.
func (l *Lambda) work(j *job, env *environment, initTime time.Duration, failed *runtimeapi.Response) (
	result jobResult, usable bool,
) {
	id := j.request.ID
	env.log.print("START RequestId: " + id + " Version: $LATEST")
	r := report{requestID: id, memoryMB: j.function.MemoryMB, init: initTime}
	var response runtimeapi.Response
	if failed != nil {
		response = *failed
	} else {
		begun := time.Now()
		var err error
		response, err = l.invoke(j, env)
		r.duration = time.Since(begun)
		if err != nil && l.ctx.Err() != nil {
			return jobResult{err: errLambdaClosed}, false
		}
		usable = err == nil
	}
	if env.process != nil {
		r.peakMB = env.process.peakMemoryMB()
	}
	switch {
	case response.ErrorType == "Sandbox.Timedout":
		r.status = "timeout"
	case response.FunctionError != "":
		r.status, r.errorType = "error", response.ErrorType
	}
	env.log.print("END RequestId: " + id)
	env.log.print(r.String())
	return jobResult{response: &LambdaResponse{
		RequestID:     id,
		Payload:       response.Payload,
		ContentType:   response.ContentType,
		FunctionError: response.FunctionError,
		LogTail:       env.log.end(),
		Duration:      r.duration,
		Init:          initTime,
	}}, usable
}

// invoke gives the event to the runtime, and returns what it posted, or what the platform says in its place, once the
// runtime is done: it asks for the next event, or is gone. An error means that env is not usable any more.
func (l *Lambda) invoke(j *job, env *environment) (runtimeapi.Response, error) {
	if env.port != nil {
		env.port.Begin(j.tag)
		defer env.port.End()
	}
	req := j.request
	req.Deadline = time.Now().Add(j.function.Timeout)
	ctx, cancel := context.WithDeadlineCause(l.ctx, req.Deadline, errTimedOut)
	defer cancel()
	ctx, stop := env.process.watch(ctx)
	defer stop()

	response, err := env.host.Invoke(ctx, req)
	answered := err == nil
	if answered {
		err = env.host.Ready(ctx)
	}
	if env.wire != nil {
		env.wire.Sync() // what is answered is recorded, and what is not is known to be under way
	}
	if err == nil {
		env.process.flush()
		return response, nil
	}
	env.process.kill()
	if l.ctx.Err() != nil {
		return response, errLambdaClosed
	}
	ended := env.failure(j, err)
	env.log.print(ended.logged)
	if !answered {
		response = ended.response
		if env.recorder != nil {
			_, format := capture.Detect(req.Event)
			env.recorder.Abort(req.ID,
				capture.LambdaOutcome(format, req.Event, response.Payload, response.FunctionError))
		}
	}
	return response, err
}

// ending is what the platform says of an invocation that it, or the runtime's death, has ended.
type ending struct {
	response runtimeapi.Response
	logged   string
}

// failure words the end of an invocation that err has ended. The process is gone by now.
func (e *environment) failure(j *job, err error) ending {
	id := j.request.ID
	if errors.Is(err, errTimedOut) {
		return timedOut(id, j.function.Timeout)
	}
	text := "Runtime exited without providing a reason"
	if exit := e.process.exitText(); exit != "" {
		text = "Runtime exited with error: " + exit
	}
	return crashed(id, "Runtime.ExitError", text)
}

func timedOut(id string, limit time.Duration) ending {
	text := fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
	return ending{
		response: runtimeapi.ErrorResponse("Sandbox.Timedout", "RequestId: "+id+" Error: "+text),
		logged:   time.Now().UTC().Format("2006-01-02T15:04:05.000Z ") + id + " " + text,
	}
}

func crashed(id, errorType, text string) ending {
	message := "RequestId: " + id + " Error: " + text
	return ending{
		response: runtimeapi.ErrorResponse(errorType, message),
		logged:   message + "\n" + errorType,
	}
}

// start makes an environment for j's function and waits until its runtime asks for an event. Failed is the answer
// to give when it did not come to that; the environment is then there for its log. An error is the platform's own.
func (l *Lambda) start(j *job) (env *environment, failed *runtimeapi.Response, err error) {
	env = &environment{log: &environmentLog{out: l.log}}
	if err := env.connect(l, j.function); err != nil {
		return nil, nil, errors.Join(err, env.close())
	}
	env.process, err = startProcess(processSpec{
		Command: j.function.Command,
		Dir:     j.function.Dir,
		Env:     env.variables(j.function),
		Output:  env.log,
	})
	if err != nil {
		ended := crashed(j.request.ID, "Runtime.InvalidEntrypoint", err.Error())
		env.log.print(ended.logged)
		return env, &ended.response, nil
	}
	ctx, cancel := context.WithTimeoutCause(l.ctx, l.opts.InitTimeout, errTimedOut)
	defer cancel()
	ctx, stop := env.process.watch(ctx)
	defer stop()
	err = env.host.Ready(ctx)
	if err == nil {
		env.process.flush() // so that what it wrote comes before START
		return env, nil, nil
	}
	env.process.kill()
	var initError *runtimeapi.InitError
	switch {
	case l.ctx.Err() != nil:
		return nil, nil, errors.Join(errLambdaClosed, env.close())
	case errors.As(err, &initError):
		return env, &initError.Response, nil
	case errors.Is(err, errTimedOut):
		ended := timedOut(j.request.ID, l.opts.InitTimeout)
		env.log.print(ended.logged)
		return env, &ended.response, nil
	default:
		ended := env.failure(j, err)
		env.log.print(ended.logged)
		return env, &ended.response, nil
	}
}

// connect sets up what the process will talk to.
func (e *environment) connect(l *Lambda, f *lambdaFunction) (err error) {
	if e.host, err = runtimeapi.NewHost(); err != nil {
		return err
	}
	if l.opts.Effects != nil {
		if e.port, err = l.opts.Effects.Listen(); err != nil {
			return err
		}
	}
	if f.Record == nil {
		return nil
	}
	opts := runtimeapi.RecorderOptions{Sink: f.Record, Function: f.base}
	if l.opts.Effects != nil {
		// What is recorded has no mark, so its tag is its request ID.
		opts.Effects = func(requestID string) ([]capture.Effect, []capture.Object) {
			work, _ := l.opts.Effects.Take(requestID)
			return work.Effects, work.Reads
		}
	}
	e.recorder = runtimeapi.NewRecorder(opts)
	e.wire, err = wiretap.NewWire(wiretap.WireOptions{
		Upstream: e.host.Addr(), Observer: e.recorder.Observer(), MaxBody: e.recorder.MaxBody(),
	})
	return err
}

// inherited are the variables of this process that a function gets. Credentials and endpoints are not among them, and
// the AWS SDKs are kept from the user's own files, so that a function does not reach a cloud by accident.
var inherited = []string{"PATH", "HOME", "TMPDIR", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "LD_LIBRARY_PATH"}

// variables returns the process's environment: what Lambda gives, then what the function is configured with, then
// what this platform depends on. Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html.
func (e *environment) variables(f *lambdaFunction) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	root := f.Dir
	if root == "" {
		root, _ = os.Getwd() // without it there is none to tell
	} else if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	env = append(env,
		"_HANDLER=bootstrap",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"LAMBDA_TASK_ROOT="+root,
		"AWS_REGION="+lambdaRegion,
		"AWS_DEFAULT_REGION="+lambdaRegion,
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_FUNCTION_NAME="+f.base,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+f.base,
		"AWS_LAMBDA_LOG_STREAM_NAME="+newLogStream(time.Now()),
	)
	env = append(env, f.Env...)
	if e.port != nil {
		env = append(env, e.port.AWSEnv()...)
	}
	api := e.host.Addr()
	if e.wire != nil {
		api = e.wire.Addr()
	}
	return append(env, "AWS_LAMBDA_RUNTIME_API="+api)
}

// close kills the process and ends what it was connected to.
func (e *environment) close() error {
	var errs []error
	if e.process != nil {
		e.process.kill()
	}
	if e.wire != nil {
		errs = append(errs, e.wire.Close())
	}
	if e.recorder != nil {
		e.recorder.Close()
	}
	if e.port != nil {
		errs = append(errs, e.port.Close())
	}
	if e.host != nil {
		errs = append(errs, e.host.Close())
	}
	return errors.Join(errs...)
}

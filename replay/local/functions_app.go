package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/capture/customhandler"
)

// defaultFunctionTimeout is what the Consumption plan gives a function when host.json does not say:
// https://learn.microsoft.com/azure/azure-functions/functions-host-json#functiontimeout.
const defaultFunctionTimeout = 5 * time.Minute

// A functionsApp is what host.json and the function.json files say.
type functionsApp struct {
	dir       string
	prefix    string        // of HTTP routes, without slashes
	forward   bool          // HTTP-only functions get the plain request
	timeout   time.Duration // of a function; 0 for none
	queues    queueSettings
	hubs      eventHubSettings
	bus       busSettings
	blobs     queueSettings // of the host's own queue
	command   []string
	workDir   string
	functions []*azureFunction // by name
}

// An azureFunction is one folder with a function.json.
type azureFunction struct {
	name     string
	trigger  binding
	disabled bool
	outputs  []binding

	// Of HTTP triggers:
	route   *customhandler.Route
	methods []string // in upper case; nil for all
	auth    authLevel
	plain   bool // it has an HTTP trigger, an HTTP output and nothing else
}

// A binding is one entry of function.json, with the fields that this host looks at.
type binding struct {
	Type       string   `json:"type"`
	Direction  string   `json:"direction"`
	Name       string   `json:"name"`
	DataType   string   `json:"dataType"`
	AuthLevel  string   `json:"authLevel"`
	Methods    []string `json:"methods"`
	Route      *string  `json:"route"`
	QueueName  string   `json:"queueName"`
	Connection string   `json:"connection"` // the name of an app setting
	Path       string   `json:"path"`
	Source     string   `json:"source"` // of a blob trigger: EventGrid, or else the container is looked through
	// Of event hubs, and their cardinality of Service Bus too:
	EventHubName  string `json:"eventHubName"`
	ConsumerGroup string `json:"consumerGroup"`
	Cardinality   string `json:"cardinality"` // "many", or "one" by default
	// Of Service Bus:
	TopicName string `json:"topicName"`
	Sessions  bool   `json:"isSessionsEnabled"`
}

func (b *binding) binary() bool { return strings.EqualFold(b.DataType, "binary") }

func (b *binding) many() bool { return strings.EqualFold(b.Cardinality, "many") }

// httpOutput returns the name of the function's HTTP output binding; ok is false when there is none.
func (fn *azureFunction) httpOutput() (name string, ok bool) {
	for _, b := range fn.outputs {
		if strings.EqualFold(b.Type, "http") {
			return b.Name, true
		}
	}
	return "", false
}

// readApp reads the app in dir. Env is the environment that %NAME% and the Disabled settings are looked up in.
func readApp(dir string, env []string) (*functionsApp, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	app := &functionsApp{dir: dir}
	if err := app.readHost(env); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "function.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no folder with a function.json; make one for each function, named like it", dir)
	}
	for _, file := range files {
		fn, err := readFunction(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		fn.disabled = fn.disabled || isTrue(lookup(env, "AzureWebJobs."+fn.name+".Disabled"))
		app.functions = append(app.functions, fn)
	}
	return app, app.checkRoutes()
}

// hostFile is host.json, with the fields that this host looks at.
type hostFile struct {
	Version    string `json:"version"`
	Extensions struct {
		HTTP struct {
			RoutePrefix *string `json:"routePrefix"`
		} `json:"http"`
		Queues     queueFile    `json:"queues"`
		EventHubs  eventHubFile `json:"eventHubs"`
		ServiceBus busFile      `json:"serviceBus"`
		Blobs      blobFile     `json:"blobs"`
	} `json:"extensions"`
	FunctionTimeout string `json:"functionTimeout"`
	CustomHandler   *struct {
		Description struct {
			DefaultExecutablePath   string   `json:"defaultExecutablePath"`
			DefaultWorkerPath       string   `json:"defaultWorkerPath"`
			DefaultWorkingDirectory string   `json:"defaultWorkingDirectory"`
			WorkingDirectory        string   `json:"workingDirectory"`
			Arguments               []string `json:"arguments"`
		} `json:"description"`
		EnableForwardingHTTPRequest bool `json:"enableForwardingHttpRequest"`
	} `json:"customHandler"`
}

func (app *functionsApp) readHost(env []string) error {
	file := filepath.Join(app.dir, "host.json")
	var host hostFile
	switch err := readJSON(file, &host); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: no host.json, so this is not the folder of a Functions app", app.dir)
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case host.Version != "2.0":
		return fmt.Errorf(`%s: version is %q; this host knows "2.0"`, file, host.Version)
	case host.CustomHandler == nil:
		return fmt.Errorf("%s: no customHandler; this host runs custom handlers only", file)
	}
	app.prefix, app.forward = "api", host.CustomHandler.EnableForwardingHTTPRequest
	if p := host.Extensions.HTTP.RoutePrefix; p != nil {
		app.prefix = strings.Trim(*p, "/")
	}
	var err error
	if app.timeout, err = parseTimeSpan(host.FunctionTimeout); err != nil {
		return fmt.Errorf("%s: functionTimeout: %w", file, err)
	}
	if app.queues, err = host.Extensions.Queues.settings(); err != nil {
		return fmt.Errorf("%s: extensions.queues.%w", file, err)
	}
	if app.hubs, err = host.Extensions.EventHubs.settings(); err != nil {
		return fmt.Errorf("%s: extensions.eventHubs.%w", file, err)
	}
	if app.bus, err = host.Extensions.ServiceBus.settings(); err != nil {
		return fmt.Errorf("%s: extensions.serviceBus.%w", file, err)
	}
	if app.blobs, err = host.Extensions.Blobs.settings(); err != nil {
		return fmt.Errorf("%s: extensions.blobs.%w", file, err)
	}

	d := &host.CustomHandler.Description
	for _, text := range append([]string{d.DefaultExecutablePath}, d.Arguments...) {
		app.command = append(app.command, expand(text, env))
	}
	if d.DefaultWorkerPath != "" {
		app.command = append(app.command, expand(d.DefaultWorkerPath, env))
	}
	if app.command[0], err = app.executable(app.command[0]); err != nil {
		return fmt.Errorf("%s: customHandler.description.defaultExecutablePath: %w", file, err)
	}
	app.workDir = filepath.Join(app.dir, expand(d.DefaultWorkingDirectory+d.WorkingDirectory, env))
	if dir := d.DefaultWorkingDirectory + d.WorkingDirectory; filepath.IsAbs(expand(dir, env)) {
		app.workDir = expand(dir, env)
	}
	if info, err := os.Stat(app.workDir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: customHandler.description.workingDirectory: %s is not a folder", file, app.workDir)
	}
	return nil
}

// executable finds the program: below the app's folder, else, when it is a name alone, on the PATH.
func (app *functionsApp) executable(path string) (string, error) {
	if path == "" {
		return "", errors.New("it is not set; name the handler's program")
	}
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(app.dir, path)
	}
	info, err := os.Stat(full)
	switch {
	case err == nil && info.IsDir():
		return "", fmt.Errorf("%s is a folder; name the program in it", full)
	case err == nil && info.Mode()&0o111 == 0 && os.PathSeparator == '/':
		return "", fmt.Errorf("%s may not be executed; run chmod +x on it", full)
	case err == nil:
		return full, nil
	}
	if filepath.Base(path) == path {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("there is no %s; build the handler there first", full)
}

var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)

// readFunction reads one function.json. Errors do not name the file.
func readFunction(file string) (*azureFunction, error) {
	var doc struct {
		Bindings []binding `json:"bindings"`
		Disabled bool      `json:"disabled"`
	}
	if err := readJSON(file, &doc); err != nil {
		return nil, err
	}
	fn := &azureFunction{name: filepath.Base(filepath.Dir(file)), disabled: doc.Disabled}
	if !functionName.MatchString(fn.name) {
		return nil, fmt.Errorf("the folder %q cannot be a function's name; use letters, digits, - and _", fn.name)
	}
	inputs := 0
	for i, b := range doc.Bindings {
		isTrigger := strings.HasSuffix(strings.ToLower(b.Type), "trigger")
		switch direction := strings.ToLower(b.Direction); {
		case b.Type == "":
			return nil, fmt.Errorf(`bindings[%d]: no "type"`, i)
		case b.Name == "":
			return nil, fmt.Errorf(`bindings[%d]: no "name"`, i)
		case direction != "in" && direction != "out" && direction != "inout":
			return nil, fmt.Errorf(`bindings[%d]: direction is %q; write "in" or "out"`, i, b.Direction)
		case isTrigger && direction != "in":
			return nil, fmt.Errorf(`bindings[%d]: direction of a %s is %q; write "in"`, i, b.Type, b.Direction)
		case isTrigger && fn.trigger.Type != "":
			return nil, fmt.Errorf("bindings[%d]: a second trigger; a function has one, so split it in two", i)
		case isTrigger:
			fn.trigger = b
			inputs++
		case direction == "in":
			inputs++
		default:
			fn.outputs = append(fn.outputs, b)
		}
	}
	if fn.trigger.Type == "" {
		return nil, errors.New("no trigger among the bindings; add one, such as httpTrigger")
	}
	_, hasHTTP := fn.httpOutput()
	fn.plain = inputs == 1 && len(fn.outputs) == 1 && hasHTTP
	return fn, fn.readTrigger()
}

// readTrigger checks what the trigger's type needs.
func (fn *azureFunction) readTrigger() error {
	t := &fn.trigger
	switch strings.ToLower(t.Type) {
	case "httptrigger":
		return fn.readHTTPTrigger()
	case "queuetrigger":
		if t.QueueName == "" {
			return errors.New(`the queueTrigger has no "queueName"`)
		}
	case "servicebustrigger":
		return t.checkBusTrigger()
	case "blobtrigger":
		if t.Path == "" {
			return errors.New(`the blobTrigger has no "path"; write container/{name}`)
		}
	case "eventgridtrigger":
		return t.checkCardinality()
	case "eventhubtrigger":
		if t.EventHubName == "" {
			return errors.New(`the eventHubTrigger has no "eventHubName"`)
		}
		return t.checkCardinality()
	}
	return nil
}

func (b *binding) checkCardinality() error {
	switch strings.ToLower(b.Cardinality) {
	case "", "one", "many":
		return nil
	}
	return fmt.Errorf(`cardinality of the %s is %q; write "one" or "many"`, b.Type, b.Cardinality)
}

func (fn *azureFunction) readHTTPTrigger() error {
	t := &fn.trigger
	fn.auth = authLevel(strings.ToLower(t.AuthLevel))
	switch fn.auth {
	case "":
		fn.auth = authFunction
	case authAnonymous, authFunction, authAdmin:
	default:
		return fmt.Errorf("authLevel is %q; write anonymous, function or admin", t.AuthLevel)
	}
	for _, method := range t.Methods {
		fn.methods = append(fn.methods, strings.ToUpper(method))
	}
	template := fn.name
	if t.Route != nil && *t.Route != "" {
		template = *t.Route
	}
	var err error
	fn.route, err = customhandler.ParseRoute(template)
	return err
}

// answers tells whether the function takes requests of the method.
func (fn *azureFunction) answers(method string) bool {
	return fn.methods == nil || slices.Contains(fn.methods, method)
}

// checkRoutes finds routes that belong to the host or to two functions: Azure takes either function, unsaid which.
func (app *functionsApp) checkRoutes() error {
	var served []*azureFunction
	for _, fn := range app.functions {
		if fn.route == nil || fn.disabled {
			continue
		}
		full := strings.ToLower(strings.Trim(app.prefix+"/"+strings.Trim(fn.route.Template, "/"), "/"))
		first, _, _ := strings.Cut(full, "/")
		if slices.Contains(ownRoutes, first) {
			return fmt.Errorf("%s: the route /%s belongs to the host; set another in its function.json",
				filepath.Join(app.dir, fn.name), full)
		}
		for _, other := range served {
			if fn.route.Same(other.route) && overlap(fn.methods, other.methods) {
				return fmt.Errorf("%s: functions %s and %s both answer /%s; change the route or the methods of one",
					app.dir, other.name, fn.name, full)
			}
		}
		served = append(served, fn)
	}
	return nil
}

func overlap(a, b []string) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

// readJSON reads a file into v. Errors about its content say in which line they are.
func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	err = json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", lineAt(data, syntax.Offset), err)
	case errors.As(err, &mismatch):
		return fmt.Errorf("line %d: %s is a JSON %s where %s is needed",
			lineAt(data, mismatch.Offset), mismatch.Field, mismatch.Value, mismatch.Type)
	}
	return err
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

// parseTimeSpan reads a .NET TimeSpan, [d.]hh:mm:ss. "" is the default and "-1" is 0, no limit.
func parseTimeSpan(text string) (time.Duration, error) {
	switch text {
	case "":
		return defaultFunctionTimeout, nil
	case "-1":
		return 0, nil
	}
	m := timeSpan.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf(`%q is not hh:mm:ss, such as "00:05:00", or "-1"`, text)
	}
	var total int64
	for i, unit := range []int64{24 * 3600, 3600, 60, 1} {
		n, _ := strconv.ParseInt(m[i+1], 10, 64) // at most four digits, or none for the days
		total += n * unit
	}
	if total == 0 {
		return 0, fmt.Errorf(`%q gives functions no time; write "-1" for no limit`, text)
	}
	return time.Duration(total) * time.Second, nil
}

var timeSpan = regexp.MustCompile(`^(?:(\d{1,4})\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})$`)

var percentName = regexp.MustCompile(`%[^%]+%`)

// expand puts the values of %NAME% into text. Names that are not set stay, as on Azure.
func expand(text string, env []string) string {
	return percentName.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := find(env, strings.Trim(name, "%")); ok {
			return value
		}
		return name
	})
}

func lookup(env []string, name string) string {
	value, _ := find(env, name)
	return value
}

// find returns the last value that env gives to name.
func find(env []string, name string) (value string, ok bool) {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func isTrue(setting string) bool { return setting == "1" || strings.EqualFold(setting, "true") }

// Package local has the platforms that tandem embeds, so that functions can be fired at on a machine without a cloud,
// Docker or an account: [Lambda] runs Lambda functions, [Functions] an Azure Functions app of custom handlers. Both
// run the real programs as child processes and speak the real protocols to them, so code that works here has spoken
// to the same interface that it meets in the cloud.
//
// # What both promise
//
//   - A process works on one invocation at a time, and there are as many processes as asked for. Given an effects
//     server, each process has a port of it to itself, so that whatever arrives there belongs to the invocation
//     that the process works on: to the mark in [capture.MarkHeader] or in the client context, else to the
//     request's ID.
//   - A process that dies or runs out of time fails the invocation it worked on, and no other, and another takes
//     its place. Where none can be started, invocations fail; they do not hang.
//   - Close leaves no process and no goroutine behind, and on Linux not even kill -9 leaves a process.
//   - What a platform itself decides (keys, routes, time-outs, sizes, throttling) it answers as the cloud does: same
//     status, same headers, same body.
//
// # What they do not emulate
//
// There is no isolation: functions run as the user who started them, with that user's files, network and clock, and
// memory is not bounded. Neither platform scales, freezes processes between invocations, or reads roles and policies.
//
// Of Lambda there are no layers, extensions, aliases or event source mappings.
//
// Of Azure Functions there are custom handlers only. HTTP triggers are served. Storage Queues, Service Bus queues,
// blob containers and event hubs are read where their connections are given, and Event Grid triggers, and blob triggers
// with that source, have their webhooks. POST /admin/functions/{name} fires functions by hand, and POST
// /tandem/handler/{function} hands a payload to a free process and gives back what it answers. Timers and other
// triggers do not fire by themselves. Output bindings other than HTTP are ignored. Settings come from the options, not from local.settings.json. A time-out kills the
// process, where Azure restarts the whole host. A request that takes longer than the 230 seconds that Azure's load
// balancer waits gets 502, and its function runs on.
package local

package config

import (
	"cmp"
	"net"
	"net/url"
	"strings"
)

// accountPlace brings what a storage account is called in a config to one form, without a key: where its service, blob
// or queue, is. An account is called by a connection string, by the URL of the service, or by its name. Source of the
// parts of connection strings: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string.
func accountPlace(account, service string) string {
	address := account
	if strings.Contains(account, ";") {
		parts := connectionParts(account)
		suffix := cmp.Or(parts["endpointsuffix"], "core.windows.net")
		address = cmp.Or(parts[service+"endpoint"], "https://"+parts["accountname"]+"."+service+"."+suffix)
	} else if !strings.Contains(account, "://") {
		address = "https://" + account + "." + service + ".core.windows.net"
	}
	u, err := url.Parse(address)
	if err != nil {
		return "" // which nobody can connect to; the error may quote a signature
	}
	_, host, _ := strings.Cut(origin(address), "://")
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "80" || port == "443") {
		host = name
	}
	return host + strings.ToLower(strings.TrimRight(u.Path, "/"))
}

// connectionParts are those of a connection string, by their names in lower case.
func connectionParts(connection string) map[string]string {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(connection, ";") {
		name, value, _ := strings.Cut(part, "=")
		parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return parts
}

// namespaceOf brings the namespace of Event Hubs or Service Bus, a host or the endpoint of a connection string, to one
// form.
func namespaceOf(host string) string {
	host = strings.TrimRight(strings.TrimPrefix(strings.ToLower(host), "sb://"), "/")
	return strings.TrimSuffix(host, ".servicebus.windows.net")
}

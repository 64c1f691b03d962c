//! The lines of configuration that mend what the doctor finds.

use super::between::Between::{self, Apache, Caddy, Cloudflare, Haproxy, Nginx, Traefik, Varnish};

/// What is to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Events are held back.
    Buffering,
    /// Compression holds events back.
    Compression,
    /// Compression is on, and holds nothing back.
    Compressed,
    /// A silent stream is cut.
    ReadTimeout,
    /// Another server or file answers at the path.
    Path,
    /// The page's script is not answered by hasses.
    Script,
    /// A redirect or rewrite drops the query.
    Query,
    /// `Last-Event-ID` does not arrive.
    LastEventId,
    /// An answer comes from a cache.
    Cache,
    /// Pages of the origin may not read the stream.
    Cors,
    /// Two programs add CORS fields.
    CorsTwice,
    /// The certificate has ended, or will soon.
    Expired,
    /// The certificate's chain is not whole, or not trusted.
    Chain,
    /// The certificate is for another name.
    Name,
    /// hasses sees the proxy's address instead of the client's.
    Address,
    /// The proxy cannot reach hasses.
    Gateway,
    /// Cookies do not arrive.
    Cookie,
    /// Browsers allow six streams only.
    Http2,
    /// The proxy speaks HTTP/1.0 to hasses.
    Upstream10,
}

/// The program's name and its lines, for the program that stands between, or for all.
pub(crate) fn lines(topic: Topic, between: Between) -> Vec<(&'static str, &'static str)> {
    let of = |program: Between| Some((program.name(), mends(topic, program)?));
    match (anywhere(topic), between) {
        (Some(lines), _) => vec![("hasses", lines)],
        (None, Between::Unknown) => Between::ALL.into_iter().filter_map(of).collect(),
        (None, known) => of(known).into_iter().collect(),
    }
}

/// What helps whatever stands between.
fn anywhere(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::Cors => Some(
            "--cors https://www.example.com     # the page's origin\n# and the proxy must not remove the field: remove any proxy_hide_header (nginx), Header unset\n# (Apache), header_down (Caddy), del-header (HAProxy)",
        ),
        Topic::Gateway => Some(
            "is hasses running, and does the proxy name the address of its --listen?\n# During a restart EventSource gives up at such an answer: load /sse.js, which does not,\n# and let systemd hold the port (hasses.socket), so that the proxy reaches it all the time.",
        ),
        _ => None,
    }
}

fn mends(topic: Topic, program: Between) -> Option<&'static str> {
    Some(match (topic, program) {
        (Topic::Buffering, Nginx) => {
            "# in location /sse:\nproxy_buffering off;\n# and remove any: proxy_ignore_headers X-Accel-Buffering;"
        }
        (Topic::Buffering, Apache) => {
            "# flushpackets=on at the end of the line that is there; of two lines for a path the first counts:\nProxyPass /sse http://127.0.0.1:8080/sse flushpackets=on"
        }
        (Topic::Buffering, Caddy) => {
            "reverse_proxy /sse* 127.0.0.1:8080 {\n    flush_interval -1\n}"
        }
        (Topic::Buffering, Haproxy) => {
            "option http-no-delay\n# and remove: option http-buffer-request, filter compression on this backend"
        }
        (Topic::Buffering, Varnish) => {
            "# above every other sub vcl_recv:\nsub vcl_recv { if (req.url ~ \"^/sse\") { return (pipe); } }"
        }
        (Topic::Buffering, Traefik) => {
            "# remove the buffering and compress middlewares from this router, and set\nloadBalancer.responseForwarding.flushInterval: \"-1\""
        }
        (Topic::Buffering, Cloudflare) => {
            "# Network > Response buffering: off (Enterprise); quick tunnels hold streams back: use a named tunnel"
        }
        (Topic::Compression | Topic::Compressed, Nginx) => {
            "# in location /sse:\ngzip off;     # and, if nginx has that module: brotli off;"
        }
        (Topic::Compression | Topic::Compressed, Apache) => {
            "SetEnvIf Request_URI \"^/sse\" no-gzip no-brotli"
        }
        (Topic::Compression | Topic::Compressed, Caddy) => {
            "@notstream not path /sse*\nencode @notstream gzip zstd"
        }
        (Topic::Compression | Topic::Compressed, Haproxy) => {
            "# remove text/event-stream from: compression type"
        }
        (Topic::Compression | Topic::Compressed, Varnish) => {
            "sub vcl_backend_response { if (bereq.url ~ \"^/sse\") { set beresp.do_gzip = false; set beresp.do_stream = true; } }"
        }
        (Topic::Compression | Topic::Compressed, Traefik) => {
            "compress.excludedContentTypes: [\"text/event-stream\"]"
        }
        (Topic::Compression | Topic::Compressed, Cloudflare) => {
            "# Rules > Compression: no compression for this path"
        }
        (Topic::ReadTimeout, Nginx) => {
            "# in location /sse:\nproxy_read_timeout 60s;     # longer than --heartbeat of hasses"
        }
        (Topic::ReadTimeout, Apache) => {
            "# timeout=60, longer than --heartbeat of hasses, at the end of the line that is there; of two lines for a path the first counts:\nProxyPass /sse http://127.0.0.1:8080/sse timeout=60"
        }
        (Topic::ReadTimeout, Caddy) => {
            "reverse_proxy /sse* 127.0.0.1:8080 {\n    transport http {\n        read_timeout 60s     # longer than --heartbeat of hasses\n    }\n}"
        }
        (Topic::ReadTimeout, Haproxy) => {
            "timeout server 60s     # longer than --heartbeat of hasses\ntimeout tunnel 1h"
        }
        (Topic::ReadTimeout, Varnish) => {
            "sub vcl_backend_fetch { set bereq.between_bytes_timeout = 60s; }     # longer than --heartbeat\nsub vcl_pipe { set bereq.between_bytes_timeout = 1h; }"
        }
        (Topic::ReadTimeout, Traefik) => {
            "entryPoints.web.transport.respondingTimeouts.writeTimeout: 0     # and idleTimeout above --heartbeat"
        }
        (Topic::ReadTimeout, Cloudflare) => {
            "# Cloudflare cuts what is silent for 100 s: hasses --heartbeat 15 (the default) is enough"
        }
        (Topic::Path, Nginx) => {
            "location /sse {     # instead of the location that is there\n    proxy_pass http://127.0.0.1:8080;     # no path and no slash behind the port, which is that of --listen\n    proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}"
        }
        (Topic::Path | Topic::Script, Apache) => {
            "ProxyPass /sse http://127.0.0.1:8080/sse\nProxyPass /sse.js http://127.0.0.1:8080/sse.js"
        }
        (Topic::Path | Topic::Script, Caddy) => "reverse_proxy /sse* 127.0.0.1:8080",
        (Topic::Path | Topic::Script, Haproxy) => {
            "use_backend hasses if { path_beg /sse }\nbackend hasses\n    server one 127.0.0.1:8080"
        }
        (Topic::Path | Topic::Script, Varnish) => {
            "backend hasses { .host = \"127.0.0.1\"; .port = \"8080\"; }\nsub vcl_recv { if (req.url ~ \"^/sse\") { set req.backend_hint = hasses; return (pipe); } }"
        }
        (Topic::Path | Topic::Script, Traefik) => {
            "rule: PathPrefix(`/sse`)     # without stripPrefix"
        }
        (Topic::Script, Nginx) => {
            "location /sse {     # not: location = /sse, and no location of its own for \\.js$ before it\n# a location with ~ \\.js$ wins: write location ^~ /sse {"
        }
        (Topic::Query, Nginx) => {
            "return 301 https://$host$request_uri;     # $request_uri, as $uri has no query"
        }
        (Topic::Query, Apache) => {
            "# keeps the query:\nRedirect permanent / https://www.example.com/"
        }
        (Topic::Query, Caddy) => {
            "redir https://{host}{uri} permanent     # {uri}, as {path} has no query"
        }
        (Topic::Query, Haproxy) => "http-request redirect scheme https code 301",
        (Topic::Query, Varnish) => {
            "# above every other sub vcl_recv:\nsub vcl_recv { if (req.url ~ \"^/sse\") { return (pipe); } }"
        }
        (Topic::LastEventId, Nginx) => {
            "# remove any: proxy_set_header Last-Event-ID \"\";\n# remove any: proxy_pass_request_headers off;"
        }
        (Topic::LastEventId, Apache) => "# remove any: RequestHeader unset Last-Event-ID",
        (Topic::LastEventId, Caddy) => "# remove any: header_up -Last-Event-ID",
        (Topic::LastEventId, Haproxy) => "# remove any: http-request del-header last-event-id",
        (Topic::LastEventId, Varnish) => "# remove any: unset req.http.Last-Event-ID;",
        (Topic::LastEventId, Traefik) => {
            "# remove from headers.customRequestHeaders: Last-Event-ID"
        }
        (Topic::Cache, Nginx) => "# in location /sse:\nproxy_cache off;",
        (Topic::Cache, Apache) => "CacheDisable /sse",
        (Topic::Cache, Varnish) => {
            "# above every other sub vcl_recv:\nsub vcl_recv { if (req.url ~ \"^/sse\") { return (pipe); } }"
        }
        (Topic::Cache, Haproxy) => "# remove: http-request cache-use, http-response cache-store",
        (Topic::Cache, Cloudflare) => "# Rules > Cache Rules: bypass cache for this path",
        (Topic::CorsTwice, Nginx) => {
            "# in location /sse:\nproxy_hide_header Access-Control-Allow-Origin;     # or remove: add_header Access-Control-Allow-Origin"
        }
        (Topic::CorsTwice, Apache) => {
            "# remove: Header add Access-Control-Allow-Origin (hasses sends the field itself)"
        }
        (Topic::CorsTwice, Caddy) => {
            "# remove: header Access-Control-Allow-Origin (hasses sends the field itself)"
        }
        (Topic::CorsTwice, Haproxy) => {
            "# remove: http-response add-header Access-Control-Allow-Origin"
        }
        (Topic::Expired, Nginx) => "certbot renew && nginx -s reload",
        (Topic::Expired, Apache) => "certbot renew && apachectl graceful",
        (Topic::Expired, Haproxy) => {
            "certbot renew, then join fullchain.pem and privkey.pem, and reload HAProxy"
        }
        (Topic::Expired, Caddy) => {
            "# Caddy renews by itself: look for its error with journalctl -u caddy"
        }
        (Topic::Chain, Nginx) => {
            "ssl_certificate /etc/letsencrypt/live/NAME/fullchain.pem;     # not cert.pem"
        }
        (Topic::Chain, Apache) => {
            "# not cert.pem:\nSSLCertificateFile /etc/letsencrypt/live/NAME/fullchain.pem"
        }
        (Topic::Chain, Haproxy) => {
            "cat fullchain.pem privkey.pem > /etc/haproxy/site.pem     # fullchain.pem, not cert.pem"
        }
        (Topic::Chain, Caddy) => {
            "tls /etc/ssl/fullchain.pem /etc/ssl/privkey.pem     # fullchain.pem, not cert.pem"
        }
        (Topic::Name, Nginx) => {
            "server_name www.example.com;     # the name in the URL, with a certificate for that name"
        }
        (Topic::Name, Apache) => {
            "# the name in the URL, with a certificate for that name:\nServerName www.example.com"
        }
        (Topic::Name, Haproxy) => {
            "bind :443 ssl crt /etc/haproxy/certs/     # one file for each name"
        }
        (Topic::Name, Caddy) => "www.example.com { … }     # the name in the URL",
        (Topic::Address, Nginx) => {
            "# in location /sse:\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n# and start hasses with: --trust-proxy and the address of nginx"
        }
        (Topic::Address, Apache) => {
            "# Apache sends X-Forwarded-For by itself; start hasses with: --trust-proxy and the address of Apache"
        }
        (Topic::Address, Caddy) => {
            "# Caddy sends X-Forwarded-For by itself; start hasses with: --trust-proxy and the address of Caddy"
        }
        (Topic::Address, Haproxy) => {
            "option forwardfor\n# and start hasses with: --trust-proxy and the address of HAProxy"
        }
        (Topic::Address, Varnish) => {
            "# Varnish sends X-Forwarded-For by itself; start hasses with: --trust-proxy and the address of Varnish"
        }
        (Topic::Address, Traefik) => {
            "# Traefik sends X-Forwarded-For by itself; start hasses with: --trust-proxy and the address of Traefik"
        }
        (Topic::Address, Cloudflare) => {
            "# name the proxy behind Cloudflare and https://www.cloudflare.com/ips/ in --trust-proxy of hasses"
        }
        (Topic::Cookie, Nginx) => "# remove any: proxy_set_header Cookie \"\";",
        (Topic::Cookie, Apache) => "# remove any: RequestHeader unset Cookie",
        (Topic::Cookie, Caddy) => "# remove any: header_up -Cookie",
        (Topic::Cookie, Haproxy) => "# remove any: http-request del-header cookie",
        (Topic::Cookie, Varnish) => {
            "# above every other sub vcl_recv:\nsub vcl_recv { if (req.url ~ \"^/sse\") { return (pipe); } }"
        }
        (Topic::Http2, Nginx) => "listen 443 ssl http2;     # since nginx 1.25.1: http2 on;",
        (Topic::Http2, Apache) => "# with: a2enmod http2\nProtocols h2 http/1.1",
        (Topic::Http2, Caddy) => {
            "www.example.com { … }     # a name instead of a port: Caddy gets a certificate and speaks HTTP/2"
        }
        (Topic::Http2, Haproxy) => "bind :443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1",
        (Topic::Upstream10, Nginx) => {
            "# in location /sse:\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";"
        }
        (Topic::Upstream10, Apache) => "# remove any: SetEnv force-proxy-request-1.0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Apache takes a comment on a line of its own alone, and Caddy a brace at the end of a line alone.
    #[test]
    fn what_is_pasted_is_understood() {
        use Topic::*;
        for topic in [
            Buffering,
            Compression,
            ReadTimeout,
            Path,
            Script,
            Query,
            LastEventId,
            Cache,
            CorsTwice,
            Expired,
            Chain,
            Name,
            Address,
            Cookie,
            Http2,
            Upstream10,
        ] {
            for line in mends(topic, Apache).unwrap_or_default().lines() {
                assert!(line.rfind('#').is_none_or(|at| at == 0), "{line}");
            }
            for line in mends(topic, Caddy).unwrap_or_default().lines() {
                let line = line.split("     #").next().unwrap_or_default();
                let whole = line.contains("{ ") && !line.contains('…');
                assert!(!whole, "{line}");
            }
        }
    }

    #[test]
    fn advice_is_for_who_is_there_else_for_all() {
        let [(name, lines)] = lines(Topic::ReadTimeout, Nginx)[..] else {
            panic!("one program");
        };
        assert_eq!(name, "nginx");
        assert!(lines.contains("proxy_read_timeout"));
        let all = super::lines(Topic::Buffering, Between::Unknown);
        assert_eq!(all.len(), Between::ALL.len());
        assert_eq!(
            super::lines(Topic::Gateway, Between::Unknown)[0].0,
            "hasses"
        );
    }
}

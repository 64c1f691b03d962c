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

/// The program's name and its lines for a stream at `path`, for the program that stands between, or for all.
pub(crate) fn lines(topic: Topic, between: Between, path: &str) -> Vec<(&'static str, String)> {
    let of = |program: Between| {
        let lines = filled(topic, mends(topic, program)?, path);
        Some((program.name(), lines))
    };
    match (anywhere(topic), between) {
        (Some(lines), _) => vec![("hasses", filled(topic, lines, path))],
        (None, Between::Unknown) => Between::ALL.into_iter().filter_map(of).collect(),
        (None, known) => of(known).into_iter().collect(),
    }
}

/// Where a line of nginx belongs.
const IN_LOCATION: &str =
    "# in location PATH, in place of such a line that is there (nginx refuses two):";

/// The lines with the stream's path in the place of `PATH`, and before them what must be put in by hand.
fn filled(topic: Topic, lines: &str, path: &str) -> String {
    let mut whole = String::new();
    if lines.contains("8080") {
        whole += "# 8080 stands for the port of hasses' --listen\n";
    }
    if topic == Topic::Path {
        whole += "# hasses is asked for the same path: its --path must be PATH\n";
    }
    whole += lines;
    whole
        .replace("IN_LOCATION", IN_LOCATION)
        .replace("PATH", path)
}

/// What helps whatever stands between.
fn anywhere(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::Cors => Some(
            "--cors https://www.example.com     # the page's origin\n# and the proxy must not remove the field: remove any proxy_hide_header (nginx), Header unset\n# (Apache), header_down (Caddy), del-header (HAProxy)",
        ),
        Topic::Gateway => Some(
            "is hasses running, and does the proxy name the address of its --listen?\n# During a restart EventSource gives up at such an answer: load PATH.js, which does not,\n# and let systemd hold the port (hasses.socket), so that the proxy reaches it all the time.",
        ),
        _ => None,
    }
}

/// The lines of one program, in which `PATH` stands for the stream's path, and `IN_LOCATION` for where a line
/// belongs.
fn mends(topic: Topic, program: Between) -> Option<&'static str> {
    Some(match (topic, program) {
        (Topic::Buffering, Nginx) => {
            "IN_LOCATION\nproxy_buffering off;\n# and remove any: proxy_ignore_headers X-Accel-Buffering;"
        }
        (Topic::Buffering, Apache) => {
            "# flushpackets=on at the end of the line that is there; of two lines for a path the first counts:\nProxyPass PATH http://127.0.0.1:8080PATH flushpackets=on"
        }
        (Topic::Buffering, Caddy) => {
            "# in place of the reverse_proxy that is there:\nreverse_proxy PATH* 127.0.0.1:8080 {\n    flush_interval -1\n}"
        }
        (Topic::Buffering, Haproxy) => {
            "option http-no-delay\n# and remove: option http-buffer-request, filter compression on this backend"
        }
        (Topic::Buffering | Topic::Query | Topic::Cache | Topic::Cookie, Varnish) => {
            "# above every other sub vcl_recv:\nsub vcl_recv { if (req.url ~ \"^PATH\") { return (pipe); } }"
        }
        (Topic::Buffering, Traefik) => {
            "# remove the buffering and compress middlewares from this router, and set\nloadBalancer.responseForwarding.flushInterval: \"-1\""
        }
        (Topic::Buffering, Cloudflare) => {
            "# Network > Response buffering: off (Enterprise); quick tunnels hold streams back: use a named tunnel"
        }
        (Topic::Compression | Topic::Compressed, Nginx) => {
            "IN_LOCATION\ngzip off;     # and, if nginx has that module: brotli off;"
        }
        (Topic::Compression | Topic::Compressed, Apache) => {
            "SetEnvIf Request_URI \"^PATH\" no-gzip no-brotli"
        }
        (Topic::Compression | Topic::Compressed, Caddy) => {
            "@notstream not path PATH*\nencode @notstream gzip zstd"
        }
        (Topic::Compression | Topic::Compressed, Haproxy) => {
            "# remove text/event-stream from: compression type"
        }
        (Topic::Compression | Topic::Compressed, Varnish) => {
            "sub vcl_backend_response { if (bereq.url ~ \"^PATH\") { set beresp.do_gzip = false; set beresp.do_stream = true; } }"
        }
        (Topic::Compression | Topic::Compressed, Traefik) => {
            "compress.excludedContentTypes: [\"text/event-stream\"]"
        }
        (Topic::Compression | Topic::Compressed, Cloudflare) => {
            "# Rules > Compression: no compression for this path"
        }
        (Topic::ReadTimeout, Nginx) => {
            "IN_LOCATION\nproxy_read_timeout 60s;     # longer than --heartbeat of hasses"
        }
        (Topic::ReadTimeout, Apache) => {
            "# timeout=60, longer than --heartbeat of hasses, at the end of the line that is there; of two lines for a path the first counts:\nProxyPass PATH http://127.0.0.1:8080PATH timeout=60"
        }
        (Topic::ReadTimeout, Caddy) => {
            "# in place of the reverse_proxy that is there:\nreverse_proxy PATH* 127.0.0.1:8080 {\n    transport http {\n        read_timeout 60s     # longer than --heartbeat of hasses\n    }\n}"
        }
        (Topic::ReadTimeout, Haproxy) => {
            "# in place of such a line that is there:\ntimeout server 60s     # longer than --heartbeat of hasses\ntimeout tunnel 1h"
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
            "# instead of the location that is there; carry over what else stands in it (access rules, headers):\nlocation PATH {\n    proxy_pass http://127.0.0.1:8080;     # no path and no slash behind the port\n    proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}"
        }
        (Topic::Path | Topic::Script, Apache) => {
            "# in place of such a line that is there; of two lines for a path the first counts:\nProxyPass PATH http://127.0.0.1:8080PATH\nProxyPass PATH.js http://127.0.0.1:8080PATH.js"
        }
        (Topic::Path | Topic::Script, Caddy) => {
            "# in place of the reverse_proxy that is there:\nreverse_proxy PATH* 127.0.0.1:8080"
        }
        (Topic::Path | Topic::Script, Haproxy) => {
            "use_backend hasses if { path_beg PATH }\nbackend hasses\n    server one 127.0.0.1:8080"
        }
        (Topic::Path | Topic::Script, Varnish) => {
            "backend hasses { .host = \"127.0.0.1\"; .port = \"8080\"; }\nsub vcl_recv { if (req.url ~ \"^PATH\") { set req.backend_hint = hasses; return (pipe); } }"
        }
        (Topic::Path | Topic::Script, Traefik) => {
            "rule: PathPrefix(`PATH`)     # without stripPrefix"
        }
        (Topic::Script, Nginx) => {
            "location PATH {     # not: location = PATH, and no location of its own for \\.js$ before it\n# a location with ~ \\.js$ wins: write location ^~ PATH {"
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
        (Topic::Cache, Nginx) => "IN_LOCATION\nproxy_cache off;",
        (Topic::Cache, Apache) => "CacheDisable PATH",
        (Topic::Cache, Haproxy) => "# remove: http-request cache-use, http-response cache-store",
        (Topic::Cache, Cloudflare) => "# Rules > Cache Rules: bypass cache for this path",
        (Topic::CorsTwice, Nginx) => {
            "# in location PATH:\nproxy_hide_header Access-Control-Allow-Origin;     # or remove: add_header Access-Control-Allow-Origin"
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
            "# in location PATH, in place of any proxy_set_header X-Forwarded-For:\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n# and start hasses with: --trust-proxy and the address of nginx"
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
        (Topic::Http2, Nginx) => {
            "# in place of a listen 443 that is there:\nlisten 443 ssl http2;     # since nginx 1.25.1: http2 on;"
        }
        (Topic::Http2, Apache) => "# with: a2enmod http2\nProtocols h2 http/1.1",
        (Topic::Http2, Caddy) => {
            "www.example.com { … }     # a name instead of a port: Caddy gets a certificate and speaks HTTP/2"
        }
        (Topic::Http2, Haproxy) => "bind :443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1",
        (Topic::Upstream10, Nginx) => {
            "IN_LOCATION\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";"
        }
        (Topic::Upstream10, Apache) => "# remove any: SetEnv force-proxy-request-1.0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Topic::*;

    const ALL: [Topic; 19] = [
        Buffering,
        Compression,
        Compressed,
        ReadTimeout,
        Path,
        Script,
        Query,
        LastEventId,
        Cache,
        Cors,
        CorsTwice,
        Expired,
        Chain,
        Name,
        Address,
        Gateway,
        Cookie,
        Http2,
        Upstream10,
    ];

    #[test]
    fn the_path_is_that_of_the_url_and_the_port_is_explained() {
        for topic in ALL {
            for (program, lines) in lines(topic, Between::Unknown, "/events/stream") {
                assert!(
                    !lines.contains("/sse") && !lines.contains("PATH"),
                    "{lines}"
                );
                assert_eq!(
                    lines.contains("8080"),
                    lines.starts_with("# 8080 stands for the port of hasses' --listen\n"),
                    "{program}: {lines}"
                );
            }
        }
        let told = |topic, program| lines(topic, program, "/events/stream")[0].1.clone();
        for (program, line) in [
            (Nginx, "\nlocation /events/stream {\n"),
            (
                Apache,
                "\nProxyPass /events/stream http://127.0.0.1:8080/events/stream\n",
            ),
            (Caddy, "\nreverse_proxy /events/stream* 127.0.0.1:8080"),
            (Haproxy, "path_beg /events/stream }"),
            (Varnish, "\"^/events/stream\""),
            (Traefik, "PathPrefix(`/events/stream`)"),
        ] {
            let lines = told(Path, program);
            assert!(lines.contains(line), "{lines}");
            assert!(
                lines.contains("its --path must be /events/stream\n"),
                "{lines}"
            );
        }
        let lines = told(ReadTimeout, Nginx);
        assert!(
            lines.starts_with("# in location /events/stream, in place of such a line"),
            "{lines}"
        );
    }

    /// Apache takes a comment on a line of its own alone, and Caddy a brace at the end of a line alone.
    #[test]
    fn what_is_pasted_is_understood() {
        for topic in ALL {
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
        let [(name, lines)] = &lines(Topic::ReadTimeout, Nginx, "/sse")[..] else {
            panic!("one program");
        };
        assert_eq!(*name, "nginx");
        assert!(lines.contains("proxy_read_timeout"));
        let all = super::lines(Topic::Buffering, Between::Unknown, "/sse");
        assert_eq!(all.len(), Between::ALL.len());
        assert_eq!(
            super::lines(Topic::Gateway, Between::Unknown, "/sse")[0].0,
            "hasses"
        );
    }
}

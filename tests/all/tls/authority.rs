//! Certificates, made by the `openssl` program.

use std::path::{Path, PathBuf};

use support::run;

/// Who vouches for the certificates of one test; its files lie in `dir`.
pub(crate) struct Authority<'a> {
    dir: &'a Path,
}

/// The kinds of keys, and how `openssl req -newkey` is asked for them.
pub(crate) const ECDSA: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const RSA: &[&str] = &["rsa:2048"];
pub(crate) const ED25519: &[&str] = &["ed25519"];

impl<'a> Authority<'a> {
    /// Makes `ca.pem`, the certificate that clients trust, and an authority below it, whose own
    /// certificate must come with each that it issues.
    pub(crate) fn new(dir: &'a Path) -> Self {
        let authority = Self::over(dir);
        authority.make("ca", ECDSA, &["-subj", "/CN=root of a test"]);
        let below = [
            "-subj",
            "/CN=below",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ];
        authority.signed("below", "ca", ECDSA, &below);
        authority
    }

    /// The authority whose files lie in `dir` already.
    pub(crate) fn over(dir: &'a Path) -> Self {
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Issues a certificate for `localhost`: the chain is in `NAME.pem`, the key in `NAME.key`.
    pub(crate) fn issue(&self, name: &str, kind: &[&str]) {
        let server = [
            "-subj",
            &format!("/CN={name}"),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ];
        self.signed(name, "below", kind, &server);
        let text = |name: &str| std::fs::read(self.file(name)).unwrap();
        let chain = [text(&format!("{name}.pem")), text("below.pem")].concat();
        std::fs::write(self.file(&format!("{name}.pem")), chain).unwrap();
    }

    /// As [`Self::issue`]; the certificate has ended long ago. (`openssl ca` alone lets one choose that.)
    pub(crate) fn issue_expired(&self, name: &str) {
        self.issue(name, ECDSA);
        let path = |name: &str| self.file(name).display().to_string();
        let [request, settings, key] =
            ["csr", "cnf", "key"].map(|end| path(&format!("{name}.{end}")));
        let subject = format!("/CN={name}");
        run(
            "openssl",
            &[
                "req", "-new", "-key", &key, "-subj", &subject, "-out", &request,
            ],
        );
        let text = format!(
            "[ca]\ndefault_ca=one\n[one]\ndatabase={}\nnew_certs_dir={}\ndefault_md=sha256\nrand_serial=yes\n\
             policy=any\nx509_extensions=site\n[any]\ncommonName=supplied\n\
             [site]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n",
            path("index"),
            self.dir.display()
        );
        std::fs::write(&settings, text).unwrap();
        std::fs::write(path("index"), "").unwrap();
        let [below, below_key, pem] = ["below.pem", "below.key", &format!("{name}.pem")].map(path);
        let issue = format!(
            "ca -batch -notext -startdate 20250101000000Z -enddate 20250201000000Z \
             -config {settings} -cert {below} -keyfile {below_key} -in {request} -out {pem}"
        );
        run("openssl", &issue.split(' ').collect::<Vec<_>>());
        let chain = [&pem, &below]
            .map(|file| std::fs::read(file).unwrap())
            .concat();
        std::fs::write(pem, chain).unwrap();
    }

    fn signed(&self, name: &str, by: &str, kind: &[&str], further: &[&str]) {
        let [cert, key] = ["pem", "key"].map(|end| self.file(&format!("{by}.{end}")));
        let by = [
            "-CA",
            cert.to_str().unwrap(),
            "-CAkey",
            key.to_str().unwrap(),
        ];
        self.make(name, kind, &[&by, further].concat());
    }

    fn make(&self, name: &str, kind: &[&str], further: &[&str]) {
        let [cert, key] = ["pem", "key"].map(|end| self.file(&format!("{name}.{end}")));
        let files = [
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            cert.to_str().unwrap(),
        ];
        let start = ["req", "-x509", "-nodes", "-days", "2", "-newkey"];
        run("openssl", &[&start, kind, &files, further].concat());
    }
}

//! The Debian package: what is in it, and that it can be installed, used and removed.
mod config;
mod machine;
mod port_443;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use machine::Machine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::Port;
use support::{Daemon, Program, Stream, eventually, needs, publish, run, temp_dir};

/// Makes the package in `dir`.
fn package(dir: &Path) -> PathBuf {
    let mut command = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/debian/build"
    ));
    let status = command
        .arg(env!("CARGO_BIN_EXE_hasses"))
        .current_dir(dir)
        .env("SOURCE_DATE_EPOCH", "1767225600")
        // What is compressed less is made in less time.
        .env("DPKG_DEB_COMPRESSOR_LEVEL", "0")
        .status();
    assert!(status.unwrap().success());
    let made = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let made: Vec<PathBuf> = made.collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made.into_iter().next().unwrap()
}

/// What dpkg-deb says of a package.
fn about(package: &Path, question: &str) -> String {
    let output = run("dpkg-deb", &[question, package.to_str().unwrap()]);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_package_says_what_it_is_and_is_the_same_when_made_again() {
    needs!("dpkg-deb", "dpkg-parsechangelog", "gzip", "curl");
    let (first, second) = (temp_dir(), temp_dir());
    let made = package(first.path());
    let control = about(&made, "--field");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        control.contains(&format!("Version: {version}\n")),
        "{control}"
    );
    assert!(control.contains("Depends: libc6 (>= "), "{control}");
    let list = about(&made, "--contents");
    for line in list.lines() {
        assert!(line.contains(" root/root "), "{line}");
    }
    let again = package(second.path());
    assert!(fs::read(made).unwrap() == fs::read(again).unwrap());
}

#[test]
fn lintian_finds_nothing() {
    needs!("lintian", "dpkg-deb", "curl");
    let dir = temp_dir();
    let made = package(dir.path());
    // Of a program that is not built for release it tells its size alone.
    let options = ["--fail-on", "error,warning", "--no-tag-display-limit"];
    let arguments = [&options[..], &[made.to_str().unwrap()]].concat();
    let output = Command::new("lintian").args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.is_empty(), "{told}");
}

#[test]
fn it_brings_readme_examples_completions_and_the_pages_script() {
    needs!("dpkg-deb", "dpkg-parsechangelog", "curl");
    let dir = temp_dir();
    let made = package(dir.path());
    let list = about(&made, "--contents");
    for file in [
        "doc/hasses/README.md",
        "doc/hasses/examples/nginx/nginx.conf",
        "doc/hasses/examples/page/index.html",
        "bash-completion/completions/hasses",
        "zsh/vendor-completions/_hasses",
        "fish/vendor_completions.d/hasses.fish",
        "hasses/sse.js",
        "hasses/sse.d.ts",
    ] {
        assert!(list.contains(&format!("./usr/share/{file}\n")), "{file}");
    }
    let unpacked = dir.path().join("unpacked");
    let (deb, root) = (made.to_str().unwrap(), unpacked.to_str().unwrap());
    run("dpkg-deb", &["--extract", deb, root]);
    let script = fs::read_to_string(unpacked.join("usr/share/hasses/sse.js")).unwrap();
    let daemon = Daemon::start("");
    let served = daemon.ask("GET /sse.js HTTP/1.0\r\n\r\n");
    assert_eq!(script, served.body);
}

#[test]
fn bash_completes_what_is_begun() {
    let complete = |words: &str| {
        let text = format!(
            "source <({} completions bash); COMP_WORDS=(hasses {words}); \
             COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _hasses 2>/dev/null; echo \"${{COMPREPLY[@]}}\"",
            env!("CARGO_BIN_EXE_hasses")
        );
        let output = run("bash", &["-c", &text]).stdout;
        String::from_utf8(output).unwrap().trim().to_owned()
    };
    assert_eq!(complete("--history-fi"), "--history-file");
    assert_eq!(complete("doc"), "doctor");
    assert_eq!(complete("--log-level n"), "normal");
    assert_eq!(complete("--history-file /etc/hostn"), "/etc/hostname");
    assert_eq!(complete("--retry 1"), "");
}

#[test]
fn fish_completes_what_is_begun_and_zsh_can_read_its_script() {
    needs!("fish", "zsh");
    let program = env!("CARGO_BIN_EXE_hasses");
    let complete = |begun: &str| {
        let text = format!("{program} completions fish | source; complete -C 'hasses {begun}'");
        let output = run("fish", &["--no-config", "-c", &text]).stdout;
        let told = String::from_utf8(output).unwrap();
        let words = told.lines().map(|line| line.split('\t').next().unwrap());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("--history-fi"), ["--history-file"]);
    assert_eq!(complete("doc"), ["doctor"]);
    assert_eq!(complete("--log-level n"), ["normal"]);
    let dir = temp_dir();
    let script = dir.path().join("_hasses");
    fs::write(&script, run(program, &["completions", "zsh"]).stdout).unwrap();
    // It is asked as zsh asks it, with its own completion system loaded.
    let text = format!(
        "autoload -U compinit && compinit -u -d {0}/dump && zsh -n {0}/_hasses && fpath=({0} $fpath) && \
         autoload -U _hasses && _arguments() {{ print -l -- \"$@\" }} && _hasses",
        dir.path().display()
    );
    let told = String::from_utf8(run("zsh", &["-f", "-c", &text]).stdout).unwrap();
    assert!(
        told.lines()
            .any(|line| line.starts_with("*--history-file[") && line.ends_with(":FILE:_files")),
        "{told}"
    );
    assert!(
        told.lines()
            .any(|line| line.starts_with("1:: :(completions doctor")),
        "{told}"
    );
}

#[test]
fn the_downloads_are_made_by_one_command() {
    needs!("dpkg-deb", "dpkg-parsechangelog", "curl");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/release");
    // What is small, and compressed less, is made in less time.
    let dir = temp_dir();
    let program = dir.path().join("hasses");
    let program = program.to_str().unwrap();
    run("strip", &["-o", program, env!("CARGO_BIN_EXE_hasses")]);
    let quick = "DPKG_DEB_COMPRESSOR_LEVEL=0";
    let made = run(
        "env",
        &[quick, script, "--program", program, "--static", program],
    )
    .stdout;
    let sums = String::from_utf8(made).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for name in [
        format!("hasses-{version}-linux-"),
        format!("hasses_{version}_"),
        format!("hasses-{version}-image-"),
    ] {
        assert!(sums.contains(&name), "{name}: {sums}");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/downloads");
    let check = format!(
        "cd {folder} && sha256sum --quiet -c SHA256SUMS && \
         tar -tzf hasses-{version}-image-*.tar.gz | sort"
    );
    let listed = String::from_utf8(run("sh", &["-c", &check]).stdout).unwrap();
    let files: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_once('/'))
        .map(|(_, file)| file)
        .collect();
    assert_eq!(files, ["", "Dockerfile", "data/", "hasses", "hasses.conf"]);
    let image = format!(
        "tar -xzOf {folder}/hasses-{version}-image-*.tar.gz hasses-{version}-image/Dockerfile"
    );
    let dockerfile = String::from_utf8(run("sh", &["-c", &image]).stdout).unwrap();
    assert!(
        dockerfile.starts_with("FROM scratch\nCOPY hasses hasses.conf /\n"),
        "{dockerfile}"
    );
    assert!(!dockerfile.contains("--from"), "{dockerfile}");
}

/// The service's setting, as systemd would find it.
fn setting(machine: &Machine, name: &str) -> String {
    let unit = machine.run("cat /usr/lib/systemd/system/hasses.service");
    let mut lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    lines
        .next()
        .unwrap_or_else(|| panic!("no {name}="))
        .to_owned()
}

/// Starts what the service starts, with its user and the sockets of the socket units; they are where
/// nobody listens.
fn start(machine: &Machine, listen: SocketAddr, control: SocketAddr) -> Program {
    let user = setting(machine, "User");
    let group = setting(machine, "Group");
    let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
    let (listen, control) = (listen.to_string(), control.to_string());
    let program = setting(machine, "ExecStart");
    let mut arguments = vec!["setpriv", &user, &group, "--clear-groups"];
    // It listens, and becomes the program when somebody connects, with the sockets that systemd passes.
    arguments.extend(["systemd-socket-activate", "--fdname=listen:control"]);
    arguments.extend(["-l", &listen, "-l", &control]);
    arguments.extend(program.split(' '));
    Program::start(&mut machine.command(&arguments))
}

#[test]
fn it_is_installed_used_removed_and_leaves_its_user_alone() {
    needs!(
        "dpkg-deb",
        "dpkg-parsechangelog",
        "gzip",
        "curl",
        "root",
        "unshare",
        "nsenter",
        "logrotate",
        "systemd-socket-activate",
        "man"
    );
    let dir = temp_dir();
    let deb = package(dir.path());
    let machine = Machine::new();
    machine.write("/tmp/hasses.deb", &fs::read(deb).unwrap());
    machine.run("dpkg --no-triggers -i /tmp/hasses.deb && rm /tmp/hasses.deb");

    for unit in ["hasses.service", "hasses.socket", "hasses-control.socket"] {
        machine.run(&format!("systemctl is-enabled {unit}"));
        let told = machine.run(&format!("systemd-analyze verify {unit} 2>&1"));
        assert!(!told.contains("hasses"), "{told}");
    }
    machine.run("man -w hasses | grep -x /usr/share/man/man1/hasses.1.gz");
    let as_hasses = "setpriv --reuid=hasses --regid=hasses --clear-groups";
    let config = "hasses --config /etc/hasses/hasses.conf";
    let told = machine.run(&format!("{as_hasses} {config} --check"));
    assert_eq!(told, "configuration ok\n");

    machine.run("sed -i 's/^#--log /--log /' /etc/hasses/hasses.conf");
    used(&machine);
    machine.run("dpkg --no-triggers --remove hasses");
    machine.run("test -e /etc/hasses/hasses.conf -a -e /var/lib/hasses/history");
    machine.run("dpkg --no-triggers --purge hasses && test ! -e /run/hasses && id hasses");
    assert_eq!(machine.left(), [""; 0]);
}

/// Subscribes to the installed program, publishes as its users do, and rotates its log.
fn used(machine: &Machine) {
    let ports = [Port::reserve(), Port::reserve()];
    let [listen, control] = ports.each_ref().map(Port::address);
    let mut program = start(machine, listen, control);
    eventually("its sockets", || TcpStream::connect(control).ok());
    let mut stream = Stream::open(listen, "subscribe=room1");

    machine.run("usermod -aG hasses www-data");
    let script = "echo room1=hello through the pipe > /run/hasses/in";
    let user = "setpriv --reuid=www-data --regid=www-data --init-groups";
    machine.run(&format!("{user} sh -c '{script}'"));
    assert_eq!(stream.data(), "hello through the pipe");
    machine.run(&format!(
        "hasses publish room1 'hello from the shell' --control {control}"
    ));
    assert_eq!(stream.data(), "hello from the shell");

    let log = |name: &str, part: &str| {
        eventually(&format!("{part} in {name}"), || {
            let text = machine.run(&format!("cat /var/log/hasses/{name} || true"));
            text.contains(part).then_some(())
        });
    };
    publish::talk_tcp(control, "status\n");
    log("hasses.log", "status of hasses");
    // systemd's part, which does not run here.
    let systemctl = format!(
        "#!/bin/sh -e\ntest \"$*\" = 'kill --signal=HUP hasses.service'\nkill -HUP {}\n",
        program.id()
    );
    machine.write("/usr/local/bin/systemctl", systemctl.as_bytes());
    machine.run("chmod +x /usr/local/bin/systemctl && logrotate -f /etc/logrotate.d/hasses");
    log("hasses.log", "settings read again");
    log("hasses.log.1", "status of hasses");
    publish::http(control, "room1", "still there");
    assert_eq!(stream.data(), "still there");

    kill(Pid::from_raw(program.id() as i32), Signal::SIGTERM).unwrap();
    let status = program.wait_for_end();
    assert!(status.success(), "{}", program.output());
}

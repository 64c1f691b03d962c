//! A copy of this machine to install packages into. What is changed in it is gone with it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Program, TempDir, temp_dir};

/// The machine's files, with a layer on top that takes what is changed (mount_namespaces(7)); its
/// network is that of this machine.
pub(crate) struct Machine {
    dir: TempDir,
    keeper: Program,
}

impl Machine {
    /// Makes it. Root alone can do that.
    pub(crate) fn new() -> Self {
        let dir = temp_dir();
        // Only the keeper and what is started in its name space see these mounts.
        let script = "mount -t tmpfs -o mode=755 tmpfs \"$0\" && cd \"$0\"
            mkdir changes work root
            mount -t overlay -o lowerdir=/,upperdir=changes,workdir=work overlay root
            mount -t tmpfs -o mode=755 tmpfs root/run
            mount --rbind /proc root/proc
            mount --rbind /dev root/dev
            echo ready
            exec sleep infinity";
        let path = dir.path().to_str().unwrap();
        let mut command = Command::new("unshare");
        let keeper = Program::start(command.args(["--mount", "sh", "-ec", script, path]));
        keeper.wait_for("ready");
        Self { dir, keeper }
    }

    /// A command with these arguments in there.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        command.args(["chroot", self.dir.path().join("root").to_str().unwrap()]);
        command.args(arguments);
        command
    }

    /// Runs a shell script in there, which must succeed, and returns what it wrote.
    pub(crate) fn run(&self, script: &str) -> String {
        let mut command = self.command(&["timeout", "60", "sh", "-ec", script]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let written = text(&output.stdout);
        assert!(
            output.status.success(),
            "{script}: {}\n{written}{}",
            output.status,
            text(&output.stderr)
        );
        written
    }

    /// Writes a file in there.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let here = self.dir_of_keeper().join(path.trim_start_matches('/'));
        fs::write(here, bytes).unwrap();
    }

    /// Files and folders with `hasses` in their names that were made in there.
    pub(crate) fn left(&self) -> Vec<String> {
        let changes = self.dir.path().join("changes");
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        // What was removed from below is kept as a device (overlayfs.rst, whiteouts).
        command.arg("find").arg(changes);
        command.args(["-name", "*hasses*", "!", "-type", "c"]);
        // systemd-analyze looked into the man page, and man keeps what it showed.
        command.args(["!", "-path", "*/var/cache/man/*"]);
        let output = command.output().unwrap();
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        names.lines().map(str::to_owned).collect()
    }

    fn dir_of_keeper(&self) -> PathBuf {
        let path = self.dir.path().join("root");
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), path.display()))
    }
}

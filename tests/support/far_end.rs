//! A machine of its own at the other end of a cable (ip-netns(8), veth(4)).

use std::process::Command;

use super::run;

/// A network at the other end of a virtual cable: 198.18.NUMBER.1 here, 198.18.NUMBER.2 there.
pub struct FarEnd {
    name: String,
    near: String,
    far: String,
}

impl FarEnd {
    /// Makes one; needs the program ip, and root.
    pub fn new(number: u8) -> Self {
        // An interface's name has at most 15 bytes.
        let unique = format!("{}-{number}", std::process::id());
        let (name, near, far) = (
            format!("hasses{unique}"),
            format!("hn{unique}"),
            format!("hf{unique}"),
        );
        ip(&format!("netns add {name}"));
        let end = Self { name, near, far };
        let Self { name, near, far } = &end;
        ip(&format!(
            "link add {near} type veth peer name {far} netns {name}"
        ));
        ip(&format!("addr add 198.18.{number}.1/30 dev {near}"));
        ip(&format!("link set {near} up"));
        ip(&format!(
            "-n {name} addr add 198.18.{number}.2/30 dev {far}"
        ));
        ip(&format!("-n {name} link set {far} up"));
        end
    }

    /// A program that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// From now on nothing comes back, as if the machine had lost its power.
    pub fn vanish(&self) {
        ip(&format!("-n {} addr flush scope global", self.name));
    }

    /// Cuts the cable, or mends it; nobody is told.
    pub fn connect(&self, connected: bool) {
        let state = if connected { "up" } else { "down" };
        ip(&format!("-n {} link set {} {state}", self.name, self.far));
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        for line in [["link", "del", &self.near], ["netns", "del", &self.name]] {
            let _ = Command::new("ip").args(line).status();
        }
    }
}

fn ip(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    run("ip", &words);
}

//! Users and groups: looked up before the start, taken on before the run.

use std::fmt::Display;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{self, Gid, Group, Uid, User};

/// The user that `--user` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// As it was asked for.
    pub(crate) asked: String,
    /// The user.
    pub(crate) uid: u32,
    /// The group that was named, else the user's own.
    pub(crate) gid: u32,
}

/// Looks `NAME[:GROUP]` up; both may be numbers.
pub(crate) fn account(text: &str) -> Result<Account, String> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (text, None),
    };
    let user = match User::from_name(name) {
        Ok(None) => by_number(name).and_then(|uid| User::from_uid(uid.into()).ok().flatten()),
        Ok(user) => user,
        Err(error) => return Err(format!("the user cannot be looked up: {error}")),
    };
    let uid = match &user {
        Some(user) => user.uid.as_raw(),
        None => by_number(name).ok_or("this machine has no such user")?,
    };
    let gid = match (group_name, user) {
        (Some(group_name), _) => group(group_name)?,
        (None, Some(user)) => user.gid.as_raw(),
        (None, None) => {
            return Err("this user has no group of its own: write USER:GROUP".to_owned());
        }
    };
    Ok(Account {
        asked: text.to_owned(),
        uid,
        gid,
    })
}

/// Looks a group up, which may be a number.
pub(crate) fn group(text: &str) -> Result<u32, String> {
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => by_number(text).ok_or_else(|| "this machine has no such group".to_owned()),
        Err(error) => Err(format!("the group cannot be looked up: {error}")),
    }
}

/// A user's or group's number. The highest means "none" to the system (chown(2)).
fn by_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && *number != u32::MAX)
}

impl Account {
    /// Whether this process is that user already, and no right is needed to become it; anyone else
    /// must be root.
    fn is_ours(&self) -> Result<bool, String> {
        let (uid, gid) = (unistd::geteuid(), unistd::getegid());
        if uid.is_root() {
            return Ok(false);
        }
        if (uid.as_raw(), gid.as_raw()) == (self.uid, self.gid) {
            Ok(true)
        } else {
            Err(self.told(&"only root can change the user"))
        }
    }

    fn told(&self, why: &dyn Display) -> String {
        format!("--user {}: {why}", self.asked)
    }

    fn failed(&self, error: Errno) -> String {
        self.told(&format!("the user cannot be changed: {}", error.desc()))
    }
}

/// Looks at something with the rights of `account`, and gets those of this process back (but its
/// supplementary groups).
pub(crate) fn as_user<T>(account: &Account, look: impl FnOnce() -> T) -> Result<T, String> {
    if account.is_ours()? {
        return Ok(look());
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let (root, wheel) = (unistd::geteuid(), unistd::getegid());
    unistd::setgroups(&[])
        .and_then(|()| unistd::setegid(gid))
        .and_then(|()| unistd::seteuid(uid))
        .map_err(|error| account.failed(error))?;
    let seen = look();
    unistd::seteuid(root)
        .and_then(|()| unistd::setegid(wheel))
        .map_err(|error| account.failed(error))?;
    Ok(seen)
}

/// Becomes `account` for good, with no supplementary groups, and sees that there is no way back to
/// root.
pub(crate) fn become_user(account: &Account) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    if !account.is_ours()? {
        // The groups go while there is still the right to change them.
        unistd::setgroups(&[])
            .and_then(|()| unistd::setresgid(gid, gid, gid))
            .and_then(|()| unistd::setresuid(uid, uid, uid))
            .map_err(|error| account.failed(error))?;
    }
    // It would work for who kept a capability, or root as real or saved user (setuid(2)).
    if !uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok() {
        return Err(account.told(&"the rights of root did not go away"));
    }
    Ok(())
}

/// Gives up, with or without `--user`, what a setuid program or one with capabilities could win back
/// (prctl(2), PR_SET_NO_NEW_PRIVS): hasses starts no other program.
pub(crate) fn no_new_ones() -> Result<(), String> {
    prctl::set_no_new_privs()
        .map_err(|error| format!("new privileges cannot be given up: {}", error.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<(u32, u32), String> {
        account(text).map(|account| (account.uid, account.gid))
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        assert_eq!(found("root"), Ok((0, 0)));
        assert_eq!(found("0"), Ok((0, 0)));
        assert_eq!(found("root:12345"), Ok((0, 12_345)));
        assert_eq!(found("54321:root"), Ok((54_321, 0)));
        assert_eq!(group("root"), Ok(0));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let why = |text| found(text).map_or_else(|why| why, |_| String::new());
        assert_eq!(why("no-such-user"), "this machine has no such user");
        assert_eq!(why(""), "this machine has no such user");
        assert_eq!(why("root:no-such-group"), "this machine has no such group");
        assert_eq!(
            why("54321"),
            "this user has no group of its own: write USER:GROUP"
        );
        assert_eq!(why("4294967295"), "this machine has no such user");
    }
}

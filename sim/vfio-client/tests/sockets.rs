//! Where a server is found, and who may find it.

mod common;

use common::Directory;
use sim_bridge::vfio_user::Server;
use sim_bridge::BindError;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn sockets_are_for_this_user_alone() {
    let directory = Directory::new();
    let server = Server::bind(directory.path(), 3).expect("a server");
    let two = directory.path().join("2");
    for (path, wanted) in
        [(directory.path(), 0o700), (&directory.socket(), 0o600), (&two, 0o700), (&two.join("cntrl"), 0o600)]
    {
        assert_eq!(mode(path), wanted, "{}", path.display());
    }
    drop(server);
    assert!(!directory.socket().exists() && !two.join("cntrl").exists(), "they go with the server");
    Server::bind(directory.path(), 3).expect("another server in the same directory");
}

#[test]
fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
    let directory = Directory::new();
    let first = Server::bind(directory.path(), 1).expect("a server");
    let in_use = Server::bind(directory.path(), 1);
    assert!(matches!(&in_use, Err(BindError::InUse(path)) if path == directory.path()));
    drop(first);
    // A server of another program: it locks nothing.
    let other = UnixListener::bind(directory.socket()).expect("a socket");
    assert!(matches!(Server::bind(directory.path(), 1), Err(BindError::InUse(path)) if path == directory.socket()));
    // Dropping it leaves the name, as a program that is killed does.
    drop(other);
    assert!(directory.socket().exists());
    Server::bind(directory.path(), 1).expect("the dead one is replaced");
}

#[test]
fn what_is_not_this_users_alone_is_not_used() {
    let directory = Directory::new();
    let refused = || Server::bind(directory.path(), 1).err().expect("it is refused").to_string();
    fs::create_dir(directory.path()).expect("a directory");
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).expect("its mode");
        assert!(refused().contains("only this user can write"), "{mode:o}: {}", refused());
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::write(directory.socket(), "text").expect("a file");
    assert!(refused().contains("is no socket"), "{}", refused());
    assert_eq!(fs::read_to_string(directory.socket()).expect("it is still there"), "text");
    fs::remove_dir_all(directory.path()).expect("removed");
    let elsewhere = Directory::new();
    fs::create_dir(elsewhere.path()).expect("a directory");
    std::os::unix::fs::symlink(elsewhere.path(), directory.path()).expect("a link");
    assert!(refused().contains("is not a directory"), "{}", refused());
    fs::remove_file(directory.path()).expect("removed");
    fs::write(directory.path(), "text").expect("a file");
    assert!(refused().contains("is not a directory"), "{}", refused());
    fs::remove_file(directory.path()).expect("removed");
    let deep = directory.path().join("no/such");
    assert!(matches!(Server::bind(&deep, 1), Err(BindError::System { .. })), "its parent is not made");
    let long = std::env::temp_dir().join("x".repeat(120));
    let error = Server::bind(&long, 1).err().expect("it is refused");
    assert!(matches!(error, BindError::TooLong(_)), "{error}");
    fs::remove_dir(&long).expect("removed");
}

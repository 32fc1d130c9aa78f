//! The files for macOS and Windows, read by Python, and the output of `service status`. Part of the
//! program's own tests: they have a file here because they call programs of the host.

use std::process::Command;

use super::*;

fn recipe() -> Recipe {
    Recipe {
        profile: "work".to_owned(),
        program: "/opt/a & b/dockbridge".to_owned(),
        arguments: ["start", "--socket", "/Users/a b/<s>"].map(str::to_owned).to_vec(),
        environment: vec![("DOCKBRIDGE_HOME".to_owned(), "/Users/a b".to_owned())],
        socket: "/Users/a b/<s>".to_owned(),
        control: "/Users/a b/<s>.control".to_owned(),
        tcp: Vec::new(),
        log: "/Users/a b/daemon.log".to_owned(),
    }
}

/// Reads a file by Python's parsers; `None` without Python.
fn read_by_python(script: &str, content: &[u8]) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, content).unwrap();
    let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() else {
        testkit::passed_over!("no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn launch_agent_is_a_property_list() {
    let script = "import plistlib, sys\nfound = plistlib.load(open(sys.argv[1], 'rb'))\n\
                  print(found['Label'], found['ProgramArguments'], found['EnvironmentVariables'], \
                  found['KeepAlive'], found['RunAtLoad'], found['Umask'])";
    let Some(found) = read_by_python(script, launchd::plist(&recipe()).as_bytes()) else { return };
    assert_eq!(
        found.trim(),
        "dockbridge.work ['/opt/a & b/dockbridge', 'start', '--socket', '/Users/a b/<s>'] \
         {'DOCKBRIDGE_HOME': '/Users/a b'} {'SuccessfulExit': False} True 63"
    );
}

#[test]
fn logon_task_is_xml_in_utf_16() {
    let script = "import sys, xml.etree.ElementTree as tree\n\
                  space = '{http://schemas.microsoft.com/windows/2004/02/mit/task}'\n\
                  root = tree.parse(sys.argv[1]).getroot()\n\
                  print([root.find(f'.//{space}{name}').text for name in ('Command', \
                  'Arguments')])";
    let content = logon_task::encoded(&logon_task::xml(&recipe()));
    let Some(found) = read_by_python(script, &content) else { return };
    assert_eq!(
        found.trim(),
        "['/opt/a & b/dockbridge', 'start --socket \"/Users/a b/<s>\" --detach']"
    );
}

#[test]
fn status_shows_service_sockets_and_log() {
    let unit = |name: &str, detail: &str, enabled| UnitStatus {
        name: name.to_owned(),
        state: "active".to_owned(),
        detail: detail.to_owned(),
        enabled,
        process: None,
        status: None,
        restarts: 0,
    };
    let service = UnitStatus {
        process: Some(123),
        status: Some("off".to_owned()),
        restarts: 2,
        ..unit("dockbridge.service", "running", false)
    };
    let status = ServiceStatus {
        profile: "default".to_owned(),
        installed: true,
        files: vec!["/home/a/.config/systemd/user/dockbridge.service".into()],
        units: vec![service, unit("dockbridge.socket", "running", true)],
        lingers: Some(false),
    };
    insta::assert_snapshot!(lines(&status).join("\n"), @"
    Service   dockbridge.service, active (running), process 123, restarted 2 times: off
    Socket    dockbridge.socket, active (running), begins with a login
    Runs      while you are logged in (loginctl enable-linger: always)
    Log       journalctl --user --unit dockbridge.service
    File      /home/a/.config/systemd/user/dockbridge.service
    ");
    let none = ServiceStatus { installed: false, ..status };
    insta::assert_snapshot!(lines(&none).join("\n"), @"
    No service of the profile default is installed: `dockbridge service install` does that.
    ");
}

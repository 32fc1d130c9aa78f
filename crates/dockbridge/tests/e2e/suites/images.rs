//! The images that the suites use, all of them a busybox, in a registry on the machine at
//! `localhost:5000`, which its engine uses as Docker Hub's mirror. No name can be resolved, which
//! is reported at once: nothing waits for an unreachable Docker Hub.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::docker_cli::Comparison;
use crate::rig::run;

/// Image names of the suites, and what each image runs by default.
const IMAGES: &[(&str, &str)] = &[
    ("alpine:3.10", "/bin/sh"),
    ("alpine:latest", "/bin/sh"),
    ("busybox:latest", "/bin/sh"),
    ("hello-world:latest", "/hello"),
    ("hello-world:linux", "/hello"),
    ("fussybeaver/uhttpd:latest", "/usr/sbin/run_uhttpd"),
];

/// Removes all remains of a suite.
const CLEAN: &str = "docker swarm leave --force 2>/dev/null; docker ps -aq | xargs -r docker rm -f \
 -v; docker plugin ls -q | xargs -r docker plugin rm -f; docker system prune -af --volumes; docker \
 volume ls -q | xargs -r docker volume rm";

pub struct Images {
    /// A root directory as a tar file.
    root: PathBuf,
}

impl Images {
    /// Starts the registry and fills it; `None`, with the reason printed, if there is none.
    pub async fn serve(comparison: &Comparison, suites: &Path) -> Option<Self> {
        let program = suites.join("registry/usr/bin/docker-registry");
        if !program.exists() {
            testkit::passed_over!("DOCKBRIDGE_TEST_SUITES names no directory with a registry");
            return None;
        }
        let images = Self { root: root(comparison.stage.directory.path()).await };
        comparison.stage.send(&program, "/usr/local/bin/docker-registry").await;
        let script = r#"
            chmod +x /usr/local/bin/docker-registry
            {
                echo 'version: 0.1'
                echo 'storage: {filesystem: {rootdirectory: /var/lib/registry}}'
                echo 'http: {addr: ":5000"}'
            } >/etc/registry.yml
            systemd-run --quiet --unit registry \
                /usr/local/bin/docker-registry serve /etc/registry.yml
            rm -f /etc/resolv.conf; echo 'nameserver 127.0.0.1' >/etc/resolv.conf
            mkdir -p /etc/docker; cd /etc/docker
            [ -s daemon.json ] || echo '{}' >daemon.json
            jq '. + {"registry-mirrors": ["http://127.0.0.1:5000"]}' daemon.json >new
            mv new daemon.json
            systemctl kill --kill-whom main --signal HUP docker
        "#;
        comparison.stage.on_machine(script).await.succeeded();
        let answers = async || {
            comparison.stage.on_machine("curl -sf http://localhost:5000/v2/").await.status.success()
        };
        comparison.stage.eventually("the registry answers", Duration::from_secs(20), answers).await;
        images
            .fill(comparison, |name| {
                let as_hub =
                    if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
                let names = [name.to_owned(), as_hub].map(|name| format!("localhost:5000/{name}"));
                format!(
                    "docker tag {name} {0} && docker push -q {0} && docker tag {name} {1} && \
                     docker push -q {1}",
                    names[0], names[1]
                )
            })
            .await;
        Some(images)
    }

    /// The same start for each run: these images, and nothing else.
    pub async fn renew(&self, comparison: &Comparison) {
        comparison.run(&comparison.direct, CLEAN).await;
        self.fill(comparison, |_| "true".to_owned()).await;
    }

    async fn fill(&self, comparison: &Comparison, then: impl Fn(&str) -> String) {
        let root = self.root.display();
        let each = IMAGES.iter().map(|(name, command)| {
            format!("docker import -c 'CMD [\"{command}\"]' {root} {name} && {}", then(name))
        });
        let script = each.collect::<Vec<_>>().join(" && ");
        comparison.run(&comparison.direct, &script).await.succeeded();
    }
}

/// A busybox that passes for the distributions that the suites use.
async fn root(directory: &Path) -> PathBuf {
    let root = directory.join("root");
    for name in
        ["bin", "usr/bin", "usr/sbin", "etc", "tmp", "www", "root", "var", "dev", "proc", "sys"]
    {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let applets = run(tokio::process::Command::from(list()), "").await;
    for applet in applets.succeeded().stdout.lines().filter(|applet| *applet != "busybox") {
        symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
    }
    for name in ["top", "id", "env"] {
        symlink("/bin/busybox", root.join("usr/bin").join(name)).unwrap();
    }
    let user = |name: &str, number: u32| format!("{name}:x:{number}:{number}:{name}:/:/bin/sh\n");
    fs::write(
        root.join("etc/passwd"),
        user("root", 0) + &user("daemon", 1) + &user("nobody", 65534),
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\ndaemon:x:1:\nnobody:x:65534:\n").unwrap();
    for (name, text) in [
        ("hello", "#!/bin/sh\necho; echo Hello from Docker!\n"),
        ("usr/sbin/run_uhttpd", "#!/bin/sh\nexec httpd \"$@\"\n"),
    ] {
        fs::write(root.join(name), text).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tar = directory.join("root.tar");
    let mut command = tokio::process::Command::new("tar");
    command.arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
    run(command, "").await.succeeded();
    tar
}

fn list() -> std::process::Command {
    let mut command = std::process::Command::new("/bin/busybox");
    command.arg("--list");
    command
}

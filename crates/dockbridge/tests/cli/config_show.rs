//! The texts of `config show`, as a terminal of 80 columns shows them.

use crate::rig::Desk;

/// The output, without what differs between two runs.
async fn shown(desk: &Desk) -> String {
    let ran = desk.dockbridge(&["config", "show"]).await;
    let text = ran.succeeded().stdout.replace(desk.directory.path().to_str().unwrap(), "/desk");
    let text = text.replace(&desk.cloud.endpoint(), "http://cloud/v1");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "a line of over 80 columns: {line}");
    }
    text
}

#[tokio::test]
async fn defaults() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    insta::assert_snapshot!(shown(&desk).await, @r"
    machine:
      # provider: not set
    hetzner:
      # api_token: not set
      # token_command: not set
      keyring: true
      server_types: [cx23, cpx22, cax11]
      locations: [fsn1, nbg1, hel1]
      image: docker-ce
      volume_size: 20
      endpoint: http://cloud/v1
    docker:
      socket_path: /desk/home/run/default/docker.sock
      # proxy_port: not set
    activity:
      idle_timeout: 5m
      connection_timeout: 30m
      grace_period: 30s
      containers: timeout
      keep_paid_hour: true
      resume: true
      max_lifetime: none
      budget: none
    lock:
      action: shutdown
      grace: 5m
    keepalive:
      interval: 30s
      timeout: 5m
      self_destruct: token
    ssh:
      private_key_path: /desk/home/config/ssh_ed25519
      # host: not set
      # remote_socket: not set
      upload_agent: true
      port_check: none
    ports:
      enabled: true
      bind: 127.0.0.1
      on_conflict: error
      include: []
      exclude: []
    gateway:
      bind_mounts: refuse
    image:
      # name: not set
      # talos_version: not set
      # schematic: not set
      factory: https://factory.talos.dev/
      # server_types: not set
      rescue_timeout: 5m
      stall_timeout: 1m
    desktop:
      notices: true
    logging:
      level: info
      json: false
    metrics:
      # listen: not set
    ");
}

/// A file that sets every setting.
const ALL_SETTINGS: &str = "machine: {provider: ssh}\n\
     hetzner: {token_command: 'pass show cloud', server_type: cx33,\n  \
     locations: [hel1, fsn1], image: 4711, volume_size: 40,\n  \
     endpoint: 'https://api.example/v1'}\n\
     docker: {socket_path: /run/x.sock, proxy_port: 2375}\n\
     activity: {idle_timeout: none, connection_timeout: 1h 30m, grace_period: 0s,\n  \
     containers: keep, keep_paid_hour: false, resume: false, max_lifetime: 12h,\n  \
     budget: 12.50}\n\
     lock: {action: shorten, grace: 90s}\n\
     keepalive: {interval: 10s, timeout: 1m, self_destruct: power-off}\n\
     ssh: {private_key_path: /home/ada/key, host: ada@lab.example,\n  \
     remote_socket: /run/podman.sock, upload_agent: false, port_check: none}\n\
     ports: {enabled: false, bind: '::1', on_conflict: fail,\n  \
     include: [8080, 'web-*:80-90/tcp'], exclude: '53/udp, 443'}\n\
     gateway: {bind_mounts: remote}\n\
     image: {name: lab, talos_version: v1.12.0, schematic: abc,\n  \
     factory: 'https://factory.example', server_types: [cx23], rescue_timeout: 2m,\n  \
     stall_timeout: 30s}\n\
     desktop: {notices: false}\n\
     logging: {level: 'info,tunnel=debug', json: true}\n\
     metrics: {listen: 9466}\n";

#[tokio::test]
async fn all_settings_set() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN").unset("HCLOUD_ENDPOINT");
    desk.settings(ALL_SETTINGS);
    insta::assert_snapshot!(shown(&desk).await, @r#"
    machine:
      provider: ssh
    hetzner:
      # api_token: not set
      token_command: "pass show cloud"
      keyring: true
      server_types: [cx33]
      locations: [hel1, fsn1]
      image: 4711
      volume_size: 40
      endpoint: https://api.example/v1
    docker:
      socket_path: /run/x.sock
      proxy_port: 2375
    activity:
      idle_timeout: none
      connection_timeout: 1h 30m
      grace_period: 0s
      containers: keep
      keep_paid_hour: false
      resume: false
      max_lifetime: 12h
      budget: 12.50
    lock:
      action: shorten
      grace: 1m 30s
    keepalive:
      interval: 10s
      timeout: 1m
      self_destruct: power-off
    ssh:
      private_key_path: /home/ada/key
      host: "ada@lab.example"
      remote_socket: /run/podman.sock
      upload_agent: false
      port_check: none
    ports:
      enabled: false
      bind: ::1
      on_conflict: error
      include: ["8080", "web-*:80-90/tcp"]
      exclude: ["53/udp", "443"]
    gateway:
      bind_mounts: remote
    image:
      name: lab
      talos_version: v1.12.0
      schematic: "abc"
      factory: https://factory.example/
      server_types: [cx23]
      rescue_timeout: 2m
      stall_timeout: 30s
    desktop:
      notices: false
    logging:
      level: info,tunnel=debug
      json: true
    metrics:
      listen: 127.0.0.1:9466
    "#);
}

"""What users of the official Python client do, once through. Says "all done" at the end."""

import os

from hcloud import APIException, Client
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import Server

client = Client(
    token=os.environ["HCLOUD_TOKEN"], api_endpoint=os.environ["HCLOUD_ENDPOINT"], poll_interval=0.02
)
fsn1 = Location(name="fsn1")


def refused(code, call):
    try:
        call()
    except APIException as error:
        assert error.code == code, (error.code, code, error.message)
        return
    raise AssertionError(f"was not refused with {code}")


def finish(response):
    for action in [response.action, *(response.next_actions or [])]:
        action.wait_until_finished()


# Catalogue
assert client.server_types.get_by_name("cx23").architecture == "x86"
assert client.locations.get_by_name("fsn1").network_zone == "eu-central"
assert client.images.get_by_name_and_architecture("docker-ce", "arm").type == "app"
assert len(client.server_types.get_all()) > 25, "more than one page"
assert client.isos.get_all() == client.networks.get_all() == client.floating_ips.get_all() == []
assert (
    client.load_balancers.get_all()
    == client.certificates.get_all()
    == client.placement_groups.get_all()
    == []
)

# Keys
key = client.ssh_keys.create(name="k", public_key=os.environ["PUBLIC_KEY"], labels={"a": "b"})
assert client.ssh_keys.get_by_fingerprint(key.fingerprint).id == key.id
refused(
    "uniqueness_error",
    lambda: client.ssh_keys.create(name="l", public_key=os.environ["PUBLIC_KEY"]),
)
assert key.update(name="k2").name == "k2"

# Firewalls
ssh = FirewallRule(
    direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0", "::/0"], description="ssh"
)
firewall = client.firewalls.create(name="f", rules=[ssh]).firewall
assert firewall.rules[0].port == "22"

# Volumes
made = client.volumes.create(size=10, name="v", location=fsn1, format="ext4")
finish(made)
volume = client.volumes.get_by_id(made.volume.id)
assert volume.status == "available" and volume.server is None

# Servers
made = client.servers.create(
    name="s",
    server_type=ServerType(name="cx23"),
    image=Image(name="docker-ce"),
    location=fsn1,
    ssh_keys=[key],
    volumes=[volume],
    firewalls=[firewall],
    user_data="#cloud-config\n",
    labels={"role": "web"},
)
assert made.root_password is None and made.server.status == Server.STATUS_INIT
finish(made)
server = client.servers.get_by_name("s")
assert server.status == Server.STATUS_RUNNING, server.status
assert [v.id for v in server.volumes] == [volume.id]
assert server.public_net.firewalls[0].status == "applied"
assert (
    server.public_net.primary_ipv4.assignee_id == server.id
    if server.public_net.primary_ipv4
    else True
)
assert [s.id for s in client.servers.get_all(label_selector="role==web", status=["running"])] == [
    server.id
]
refused(
    "uniqueness_error",
    lambda: client.servers.create(
        name="s", server_type=ServerType(name="cx23"), image=Image(name="debian-12")
    ),
)
refused(
    "invalid_input",
    lambda: client.servers.create(
        name="t", server_type=ServerType(name="cx99"), image=Image(name="debian-12")
    ),
)
assert server.get_metrics(
    ["cpu", "disk"], "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
).metrics.time_series["cpu"]

volume.detach().wait_until_finished()
volume.resize(size=12).wait_until_finished()
volume.attach(server, automount=False).wait_until_finished()
volume.reload()
assert volume.size == 12 and volume.server.id == server.id
refused("service_error", volume.delete)

server.power_off().wait_until_finished()
server.change_type(ServerType(name="cx33"), upgrade_disk=False).wait_until_finished()
server.power_on().wait_until_finished()
server.reboot().wait_until_finished()
server.reset().wait_until_finished()
server.rebuild(Image(name="debian-13")).action.wait_until_finished()
assert server.update(name="t", labels={"role": "db"}).name == "t"
server.change_protection(delete=True, rebuild=True).wait_until_finished()
refused("protected", server.delete)
server.change_protection(delete=False, rebuild=False).wait_until_finished()
server.change_dns_ptr(server.public_net.ipv4.ip, "t.example.com").wait_until_finished()
server.reload()
assert server.server_type.name == "cx33" and server.public_net.ipv4.dns_ptr == "t.example.com"

snapshot = server.create_image(description="golden", labels={"v": "1"})
snapshot.action.wait_until_finished()
image = client.images.get_by_id(snapshot.image.id)
assert image.status == "available" and image.created_from.id == server.id
image.delete()

for action in firewall.set_rules([]):
    action.wait_until_finished()
for action in firewall.remove_from_resources([FirewallResource(type="server", server=server)]):
    action.wait_until_finished()
selector = FirewallResource(
    type="label_selector", label_selector=FirewallResourceLabelSelector(selector="role=db")
)
for action in firewall.apply_to_resources([selector]):
    action.wait_until_finished()
refused("resource_in_use", firewall.delete)
for action in firewall.remove_from_resources([selector]):
    action.wait_until_finished()

assert {a.command for a in server.get_actions()} >= {
    "create_server",
    "start_server",
    "rebuild_server",
    "change_server_type",
}
rescue = server.enable_rescue(ssh_keys=[key.id])
rescue.action.wait_until_finished()
assert rescue.root_password
server.reload()
assert server.rescue_enabled
server.disable_rescue().wait_until_finished()
server.reload()
assert not server.rescue_enabled

# What does not exist here is no absence: neither `None` nor "not found".
refused("unsupported_error", server.enable_backup)
refused("unsupported_error", lambda: client.networks.get_by_id(1))
refused("unsupported_error", lambda: client.networks.create(name="n", ip_range="10.0.0.0/16"))
refused("unsupported_error", server.public_net.primary_ipv4.unassign)
assert client.networks.get_by_name("n") is None

server.delete().wait_until_finished()
assert client.servers.get_by_name("t") is None
volume.reload()
assert volume.server is None
volume.delete()
firewall.delete()
key.delete()
assert (
    client.servers.get_all()
    == client.volumes.get_all()
    == client.firewalls.get_all()
    == client.ssh_keys.get_all()
    == []
)
print("all done")

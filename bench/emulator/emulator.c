/* Emulates a long link with a delay and a rate in each direction, for kernels without tc-netem.
 *
 * Two TUN devices: one in the network namespace that is named, one here. A packet that is read from
 * one of them leaves a wire of the given rate, travels for the delay, and is written to the other
 * one. What would wait for the wire for longer than QUEUE_NS is dropped, as a router with a full
 * queue does. TCP at both ends is the kernel's own.
 *
 * The devices exchange segments of up to 64 KiB (TSO), which are billed as the Ethernet frames that
 * they would be: otherwise 1 Gbit/s would need a whole processor.
 *
 *   emulator NAMESPACE DELAY_US UP_BIT_S DOWN_BIT_S
 *
 * "Up" is from the namespace to here. Prints the names of both devices, then runs until SIGTERM and
 * prints what it counted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
/* As much as home routers queue: 50 ms of their rate. */
#define QUEUE_NS (50 * 1000000ull)
/* Preamble, header, checksum and gap of an Ethernet frame, in bytes. */
#define FRAMING 38
/* Packets in one direction at once: 1 Gbit/s for 80 ms is 10 MB, in segments of 1500 bytes. */
#define SLOTS 8192
/* A segment of 64 KiB with its header. */
#define LONGEST (65536 + sizeof(struct virtio_net_hdr) + 64)

struct packet {
	uint64_t due;
	size_t length;
	unsigned char bytes[];
};

struct direction {
	const char *name;
	int from, to;
	double ns_per_byte;
	uint64_t delay;
	/* When the wire is free for the next packet. */
	uint64_t wire_free;
	/* A ring: `count` packets from `first` on, by the time at which they are due. */
	struct packet *ring[SLOTS];
	size_t first, count;
	uint64_t carried, dropped, refused, latest;
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * NS_PER_S + at.tv_nsec;
}

/* Makes a TUN device in the namespace that this process is in, and writes its name to `name`. */
static int make_device(char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int header = sizeof(struct virtio_net_hdr);
	int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (device < 0)
		fail("/dev/net/tun");
	strcpy(request.ifr_name, "dblink%d");
	if (ioctl(device, TUNSETIFF, &request) < 0)
		fail("a TUN device cannot be made");
	if (ioctl(device, TUNSETVNETHDRSZ, &header) < 0)
		fail("TUNSETVNETHDRSZ");
	if (ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		fail("TUNSETOFFLOAD");
	strcpy(name, request.ifr_name);
	return device;
}

/* How many bytes these are on an Ethernet wire, split into frames. */
static uint64_t wire_bytes(const unsigned char *packet, size_t length)
{
	struct virtio_net_hdr header;
	uint64_t bytes = length - sizeof(header);
	uint64_t frames = 1;

	memcpy(&header, packet, sizeof(header));
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE && header.gso_size != 0 &&
	    bytes > header.hdr_len)
		frames = (bytes - header.hdr_len + header.gso_size - 1) / header.gso_size;
	return bytes + (frames - 1) * header.hdr_len + frames * FRAMING;
}

/* Reads what has come, and gives each packet the time at which it arrives at the other end. */
static void read_packets(struct direction *way)
{
	static unsigned char bytes[LONGEST];
	ssize_t length;

	while ((length = read(way->from, bytes, sizeof(bytes))) > (ssize_t)sizeof(struct virtio_net_hdr)) {
		uint64_t at = now_ns();
		struct packet *packet;

		if (way->wire_free < at)
			way->wire_free = at;
		if (way->wire_free - at > QUEUE_NS || way->count == SLOTS) {
			way->dropped++;
			continue;
		}
		packet = malloc(sizeof(*packet) + length);
		if (!packet)
			fail("memory");
		way->wire_free += wire_bytes(bytes, length) * way->ns_per_byte;
		packet->due = way->wire_free + way->delay;
		packet->length = length;
		memcpy(packet->bytes, bytes, length);
		way->ring[(way->first + way->count++) % SLOTS] = packet;
	}
}

/* Writes what is due. Returns the nanoseconds until the next packet is, NS_PER_S without one. */
static uint64_t write_packets(struct direction *way)
{
	while (way->count > 0) {
		struct packet *packet = way->ring[way->first];
		uint64_t at = now_ns();

		if (packet->due > at)
			return packet->due - at;
		if (at - packet->due > way->latest)
			way->latest = at - packet->due;
		if (write(way->to, packet->bytes, packet->length) < 0)
			way->refused++;
		else
			way->carried++;
		free(packet);
		way->first = (way->first + 1) % SLOTS;
		way->count--;
	}
	return NS_PER_S;
}

static void report(const struct direction *way)
{
	printf("%s: %llu packets, %llu dropped, %llu refused by the kernel, up to %llu us late\n",
	       way->name, (unsigned long long)way->carried, (unsigned long long)way->dropped,
	       (unsigned long long)way->refused, (unsigned long long)way->latest / 1000);
}

/* Switches to the namespace, makes a device there, and comes back. */
static int make_device_in(const char *namespace, char *name)
{
	char path[256];
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there, device;

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		fail(path);
	device = make_device(name);
	if (setns(here, CLONE_NEWNET) < 0)
		fail("the namespace cannot be left");
	close(there);
	close(here);
	return device;
}

int main(int argc, char **argv)
{
	static struct direction up = { .name = "up" }, down = { .name = "down" };
	struct sigaction action = { .sa_handler = on_signal };
	struct sched_param priority = { .sched_priority = 10 };
	char outside[IFNAMSIZ], inside[IFNAMSIZ];

	if (argc != 5) {
		fprintf(stderr, "usage: emulator NAMESPACE DELAY_US UP_BIT_S DOWN_BIT_S\n");
		return 2;
	}
	up.delay = down.delay = strtoull(argv[2], NULL, 10) * 1000;
	up.ns_per_byte = 8.0 * NS_PER_S / strtod(argv[3], NULL);
	down.ns_per_byte = 8.0 * NS_PER_S / strtod(argv[4], NULL);
	up.to = down.from = make_device(outside);
	up.from = down.to = make_device_in(argv[1], inside);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* A wire is not late because processors are busy. Without the right to it, it may be. */
	sched_setscheduler(0, SCHED_RR, &priority);
	prctl(PR_SET_TIMERSLACK, 1000);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	printf("%s %s\n", outside, inside);
	fflush(stdout);
	while (!ended) {
		struct pollfd ready[] = { { .fd = up.from, .events = POLLIN },
					  { .fd = down.from, .events = POLLIN } };
		uint64_t soonest = write_packets(&up), other = write_packets(&down);
		struct timespec rest;

		if (other < soonest)
			soonest = other;
		rest.tv_sec = soonest / NS_PER_S;
		rest.tv_nsec = soonest % NS_PER_S;
		if (ppoll(ready, 2, &rest, NULL) > 0) {
			if (ready[0].revents)
				read_packets(&up);
			if (ready[1].revents)
				read_packets(&down);
		}
	}
	report(&up);
	report(&down);
	return 0;
}

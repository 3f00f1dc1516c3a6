/*
 * A PF_KEY socket for a kernel without ESP: preloaded into OpenIKED, it answers as the kernel would and writes every
 * message that it is sent, keys and all, to the file named by RIG_PFKEY. No packet is ever sealed or opened here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* GETSPI is answered with an SPI in place of the range; everything else with itself. */
static void answer(int fd, char *bytes, size_t length)
{
	struct sadb_msg *message = (struct sadb_msg *)bytes;
	if (message->sadb_msg_type == SADB_GETSPI) {
		struct sadb_sa sa = { .sadb_sa_len = sizeof(sa) / 8, .sadb_sa_exttype = SADB_EXT_SA };
		getrandom(&sa.sadb_sa_spi, sizeof(sa.sadb_sa_spi), 0);
		sa.sadb_sa_spi |= htonl(0x1000);
		memcpy(bytes + sizeof(*message), &sa, sizeof(sa));
		length = sizeof(*message) + sizeof(sa);
		message->sadb_msg_len = length / 8;
	}
	write(fd, bytes, length);
}

static void *serve(void *argument)
{
	int fd = (int)(long)argument;
	int log = open(getenv("RIG_PFKEY"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	char bytes[65536];
	ssize_t length;
	while ((length = read(fd, bytes, sizeof(bytes))) >= (ssize_t)sizeof(struct sadb_msg)) {
		write(log, bytes, length);
		answer(fd, bytes, length);
	}
	return NULL;
}

int socket(int domain, int type, int protocol)
{
	int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
	int pair[2];
	pthread_t thread;
	if (domain != AF_KEY)
		return real(domain, type, protocol);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1)
		return -1;
	pthread_create(&thread, NULL, serve, (void *)(long)pair[1]);
	return pair[0];
}

/* That a socket is exempt from IPsec policies needs no saying where there are none. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
	if ((level == IPPROTO_IP && name == IP_IPSEC_POLICY) || (level == IPPROTO_IPV6 && name == IPV6_IPSEC_POLICY))
		return 0;
	return real(fd, level, name, value, length);
}

/* OpenIKED gives a kernel a moment to answer; a thread on a busy machine needs longer. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int (*real)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");
	return real(fds, count, timeout > 0 && timeout < 2000 ? 2000 : timeout);
}

/* The least a server can do for many listeners: take a datagram, give it to the kernel once for each of them.
 *
 * send_loop PORT LISTENER_PORT...   all on 127.0.0.1; no keys, no checks. Ends when it is killed.
 * One sendmmsg for all listeners of a frame; without sendmmsg's batching it costs the same within a few per cent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LISTENERS_MAX = 1024, DATAGRAM_MAX = 2048 };

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in where;
    memset(&where, 0, sizeof where);
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons((unsigned short)port);
    return where;
}

int main(int argc, char **argv) {
    static struct sockaddr_in to[LISTENERS_MAX];
    static struct mmsghdr out[LISTENERS_MAX];
    static char datagram[DATAGRAM_MAX];
    struct iovec piece = {datagram, 0};
    int count = argc - 2, own = socket(AF_INET, SOCK_DGRAM, 0);
    if (count < 1 || count > LISTENERS_MAX || own < 0) return 2;
    struct sockaddr_in here = loopback(atoi(argv[1]));
    if (bind(own, (struct sockaddr *)&here, sizeof here) < 0) return 1;
    for (int n = 0; n < count; n++) {
        to[n] = loopback(atoi(argv[n + 2]));
        out[n].msg_hdr.msg_name = &to[n];
        out[n].msg_hdr.msg_namelen = sizeof to[n];
        out[n].msg_hdr.msg_iov = &piece;
        out[n].msg_hdr.msg_iovlen = 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t size = recv(own, datagram, sizeof datagram, 0);
        if (size < 0) return 1;
        piece.iov_len = (size_t)size;
        for (int done = 0; done < count;) {
            int sent = sendmmsg(own, out + done, (unsigned)(count - done), 0);
            if (sent < 0) return 1;
            done += sent;
        }
    }
}

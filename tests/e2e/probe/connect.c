// connect NAME: connects to the abstract socket NAME and says what the kernel answers.
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t length = strlen(argv[1]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(to.sun_path + 1, argv[1], length);
    length += offsetof(struct sockaddr_un, sun_path) + 1;
    int answer = connect(fd, (struct sockaddr *)&to, length);
    puts(answer == 0 ? "connected" : strerrorname_np(errno));
    return 0;
}

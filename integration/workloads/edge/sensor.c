// sensor: answers each request with the number of its reading. One process, one buffer, no allocation.
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(8085), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  char buffer[1024];

  signal(SIGTERM, end); // process 1 has no default
  signal(SIGPIPE, SIG_IGN);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 8)) return 1;
  for (unsigned reading = 1;; reading++) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    if (read(client, buffer, sizeof buffer) > 0) {
      int length = snprintf(buffer, sizeof buffer, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nreading %u\n", reading);
      if (write(client, buffer, length) < 0) reading--;
    }
    close(client);
  }
}

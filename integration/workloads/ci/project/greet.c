#include <stdio.h>

int main(int count, char **words) {
  if (count < 2) return 2;
  printf("hello from %s\n", words[1]);
  return 0;
}

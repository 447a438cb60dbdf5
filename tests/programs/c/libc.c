/* A walk through libc: formatted input and output, strings, time, environment, files, locale, wide characters. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
int main(void) {
  int a; double b; char c[20]; if (sscanf("12 3.5 word", "%d %lf %19s", &a, &b, c) != 3) return 1;
  printf("%d %.3f %s|%-8s|%8s|%08.3f|%+d|%#x|%5.2e|%%|%c\n", a, b, c, "left", "right", 3.14159, 5, 255, 12345.678, 'z');
  char buffer[200]; struct tm t = {.tm_year = 124, .tm_mon = 1, .tm_mday = 29, .tm_hour = 12}; setenv("TZ", "UTC", 1); tzset(); time_t when = mktime(&t);
  strftime(buffer, sizeof buffer, "%Y-%m-%d %A %j", &t); printf("%s %ld\n", buffer, (long)when);
  FILE *f = tmpfile(); if (!f) return 2; for (int i = 0; i < 5000; i++) fprintf(f, "line %d\n", i); rewind(f); int n = 0; while (fgets(buffer, sizeof buffer, f)) n += strlen(buffer); fclose(f); printf("%d\n", n);
  errno = 0; if (fopen("/nonexistent/file", "r") || errno != ENOENT) return 3; printf("%s\n", strerror(errno));
  char list[] = "a,b;c"; for (char *p = strtok(list, ",;"); p; p = strtok(0, ",;")) printf("[%s]", p);
  wchar_t w[10]; printf("%zu %d %ld %lu %g\n", mbstowcs(w, "abc", 10), toupper('q'), strtol("-0x1f", 0, 16), strtoul("777", 0, 8), atof("2.5e3"));
  void *p = realloc(calloc(10, 100), 100000); memset(p, 1, 100000); free(p);
  return setlocale(LC_ALL, "C") ? 0 : 4;
}

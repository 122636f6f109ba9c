// localtime_r(3), strftime(3), mktime(3), tzset(3): the zone's file is read, local time printed.
#include "guest.h"

int main(void) {
    char text[128];
    struct tm parts;
    time_t now = time(NULL);
    CHECK(localtime_r(&now, &parts));
    CHECK(strftime(text, sizeof text, "%A %d %B %Y %H:%M:%S %Z %z week %V day %j", &parts) > 0);
    printf("%s\n", text);
    CHECK(mktime(&parts) == now);
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    CHECK(localtime_r(&now, &parts) && strftime(text, sizeof text, "%c %Z", &parts) > 0);
    printf("%s\n", text);
    setenv("TZ", "ABC-3:30DEF,M3.5.0,M10.5.0", 1);
    tzset();
    time_t summer = 1750000000;
    CHECK(localtime_r(&summer, &parts) && parts.tm_isdst == 1 && strcmp(parts.tm_zone, "DEF") == 0);
    CHECK(gmtime_r(&summer, &parts) && parts.tm_year == 125 && parts.tm_mon == 5 && parts.tm_mday == 15);
    printf("%s", ctime_r(&summer, text));
    return 0;
}

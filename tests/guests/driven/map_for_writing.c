// Maps the file that its argument names and writes by memory: `map_for_writing FILE`. Ends with the errno of a refusal.
#include "../guest.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    int fd = OK(open(argv[1], O_RDWR));
    char *later = OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int refused = area == MAP_FAILED ? errno : 0;
    int also = mprotect(later, 4096, PROT_READ | PROT_WRITE) ? errno : 0;
    CHECK(refused == also);
    if (!refused) {
        area[0] = 'y';
        later[1] = later[1] == 'x' ? '2' : (char)(later[1] + 1);
    }
    printf("%.8s\n", later);
    return refused;
}

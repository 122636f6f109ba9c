// System V and POSIX ways to share with others: memory, semaphores, queues: ENOSYS. Memory that is shared and has no name is there.
// refused: shmget (system call 29)
#include "guest.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void) {
    FAILS(ENOSYS, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
    FAILS(ENOSYS, shmat(0, NULL, 0));
    FAILS(ENOSYS, semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    FAILS(ENOSYS, semop(0, &(struct sembuf){0, 1, 0}, 1));
    FAILS(ENOSYS, msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    FAILS(ENOSYS, mq_open("/queue", O_RDWR | O_CREAT, 0600, NULL));
    FAILS(ENOSYS, syscall(SYS_memfd_create, "memory", 0));
    int *shared = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    *shared = 5;
    CHECK(*shared == 5);
    return 0;
}

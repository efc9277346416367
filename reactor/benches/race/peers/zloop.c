//  CZMQ's zloop in the race: one run of one test, asked for by arguments, answered in lines of a label and numbers.
//
//  Usage: zloop BATCH TEST SIZE COUNT
//
//  Messages are received with zmq_msg_recv on the socket behind the zsock: zframe and zstr would allocate for each.
//  A handler takes BATCH messages a call at most; 1 is what zloop's own examples do.

#define _GNU_SOURCE
#include <czmq.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

//  Idle sockets and far-off timers must not have anything to do within a run.
#define FAR_OFF_MS (3600 * 1000)

static int s_batch;

static void
s_check (bool holds, const char *what)
{
    if (!holds) {
        fprintf (stderr, "zloop: %s: %s\n", what, zmq_strerror (zmq_errno ()));
        _exit (1);
    }
}

static int64_t
s_read_ns (clockid_t clock)
{
    struct timespec now;
    clock_gettime (clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int64_t
s_now_ns (void)
{
    return s_read_ns (CLOCK_MONOTONIC);
}

//  --------------------------------------------------------------------------
//  Counts what is dispatched; the first tenth is for warming up. What happens on one thread that never sleeps is
//  measured by that thread's time on its CPU, what several do together by CLOCK_MONOTONIC.

typedef struct {
    uint64_t seen, warm_up, total;
    clockid_t clock;
    int64_t began_ns;
    double each_ns;
} meter_t;

static meter_t
s_meter (uint64_t count, clockid_t clock)
{
    meter_t self = { .warm_up = count / 10 + 1, .clock = clock };
    self.total = self.warm_up + count;
    return self;
}

//  True at the last.
static inline bool
s_tick (meter_t *self)
{
    self->seen++;
    if (self->seen == self->warm_up)
        self->began_ns = s_read_ns (self->clock);
    if (self->seen < self->total)
        return false;
    self->each_ns = (double) (s_read_ns (self->clock) - self->began_ns) / (self->total - self->warm_up);
    return true;
}

static void
s_report (const meter_t *self)
{
    printf ("dispatched %" PRIu64 "\neach_ns %.3f\n", self->seen - self->warm_up, self->each_ns);
}

static void
s_report_samples (const char *label, const double *samples, size_t count)
{
    printf ("%s", label);
    for (size_t index = 0; index < count; index++)
        printf (" %.1f", samples [index]);
    printf ("\n");
}

//  --------------------------------------------------------------------------
//  One busy PAIR, whose handler sends the next message from the other end.

typedef struct {
    meter_t meter;
    zmq_msg_t msg;
    void *mine;
    void *peer;
} relay_t;

static int
s_relay (zloop_t *loop, zsock_t *reader, void *arg)
{
    relay_t *self = (relay_t *) arg;
    for (int taken = 0; taken < s_batch; taken++) {
        if (zmq_msg_recv (&self->msg, self->mine, ZMQ_DONTWAIT) == -1)
            break;
        uint64_t number;
        memcpy (&number, zmq_msg_data (&self->msg), sizeof number);
        s_check (number == self->meter.seen, "a message is missing");
        number++;
        memcpy (zmq_msg_data (&self->msg), &number, sizeof number);
        if (s_tick (&self->meter))
            return -1;
        //  Without ZMQ_DONTWAIT, with which a sender does not always see that the reader has made room.
        s_check (zmq_msg_send (&self->msg, self->peer, 0) != -1, "cannot send");
    }
    return 0;
}

//  None of these ever gets a message.
static int
s_unexpected (zloop_t *loop, zsock_t *reader, void *arg)
{
    s_check (false, "an idle socket is readable");
    return -1;
}

static void
s_sockets (uint64_t size, uint64_t count)
{
    zsys_set_max_sockets (size + 16);
    zloop_t *loop = zloop_new ();
    zsock_t *mine = zsock_new_pair ("@inproc://busy");
    zsock_t *peer = zsock_new_pair (">inproc://busy");
    s_check (loop && mine && peer, "cannot create the pair");
    relay_t relay = { .meter = s_meter (count, CLOCK_THREAD_CPUTIME_ID) };
    relay.mine = zsock_resolve (mine);
    relay.peer = zsock_resolve (peer);
    s_check (zloop_reader (loop, mine, s_relay, &relay) == 0, "zloop_reader");
    for (uint64_t index = 0; index < size; index++) {
        zsock_t *idle = zsock_new (ZMQ_PAIR);
        s_check (idle && zloop_reader (loop, idle, s_unexpected, NULL) == 0, "cannot add an idle socket");
    }
    zmq_msg_init_size (&relay.msg, sizeof (uint64_t));
    memset (zmq_msg_data (&relay.msg), 0, sizeof (uint64_t));
    s_check (zmq_msg_send (&relay.msg, relay.peer, 0) != -1, "cannot send");
    zloop_start (loop);
    s_report (&relay.meter);
}

//  --------------------------------------------------------------------------
//  Timers

static int
s_never (zloop_t *loop, int timer_id, void *arg)
{
    s_check (false, "a far-off timer fired");
    return -1;
}

static int
s_turn (zloop_t *loop, int timer_id, void *arg)
{
    return s_tick ((meter_t *) arg) ? -1 : 0;
}

static void
s_add_far_off (zloop_t *loop, uint64_t size)
{
    for (uint64_t index = 0; index < size; index++)
        s_check (zloop_timer (loop, FAR_OFF_MS + index, 1, s_never, NULL) != -1, "zloop_timer");
}

//  A loop without a socket makes no system call at all in a turn without sleep; one with a socket does.
static void
s_turns (uint64_t size, uint64_t count, bool alone)
{
    zloop_t *loop = zloop_new ();
    s_add_far_off (loop, size);
    if (!alone)
        s_check (zloop_reader (loop, zsock_new (ZMQ_PAIR), s_unexpected, NULL) == 0, "zloop_reader");
    meter_t meter = s_meter (count, CLOCK_THREAD_CPUTIME_ID);
    s_check (zloop_timer (loop, 0, 0, s_turn, &meter) != -1, "zloop_timer");
    zloop_start (loop);
    s_report (&meter);
}

static int
s_end (zloop_t *loop, int timer_id, void *arg)
{
    return -1;
}

//  After a run has ended zloop_timer_end removes the timer at once, before that at the end of a turn: the same work,
//  but without the cost of the turn.
static void
s_cancels (uint64_t size, uint64_t count)
{
    zloop_t *loop = zloop_new ();
    zloop_timer (loop, 0, 1, s_end, NULL);
    zloop_start (loop);
    s_add_far_off (loop, size);
    meter_t meter = s_meter (count, CLOCK_THREAD_CPUTIME_ID);
    uint64_t spread = 0;
    do {
        spread = (spread + 7919) % (size + 1);
        int timer_id = zloop_timer (loop, FAR_OFF_MS + spread, 1, s_never, NULL);
        s_check (zloop_timer_end (loop, timer_id) == 0, "zloop_timer_end");
    } while (!s_tick (&meter));
    s_report (&meter);
}

static void
s_tickets (uint64_t size, uint64_t count)
{
    zloop_t *loop = zloop_new ();
    zloop_set_ticket_delay (loop, FAR_OFF_MS);
    void **tickets = (void **) calloc (size, sizeof (void *));
    for (uint64_t index = 0; index < size; index++)
        tickets [index] = zloop_ticket (loop, s_never, NULL);
    meter_t meter = s_meter (count, CLOCK_THREAD_CPUTIME_ID);
    uint64_t index = 0;
    do {
        zloop_ticket_reset (loop, tickets [index]);
        if (++index == size)
            index = 0;
    } while (!s_tick (&meter));
    s_report (&meter);
}

//  --------------------------------------------------------------------------
//  Waking the loop from another thread, by way of a PAIR

typedef struct {
    uint64_t count, handled;
    void *mine, *peer;
    atomic_llong sent_ns;
    sem_t answered;
    double *samples;
} wake_t;

static void *
s_poster (void *arg)
{
    wake_t *self = (wake_t *) arg;
    for (uint64_t index = 0; index < self->count; index++) {
        atomic_store (&self->sent_ns, s_now_ns ());
        s_check (zmq_send (self->peer, "", 0, 0) != -1, "cannot send");
        while (sem_wait (&self->answered) == -1)
            ;
    }
    return NULL;
}

static int
s_woken (zloop_t *loop, zsock_t *reader, void *arg)
{
    wake_t *self = (wake_t *) arg;
    if (zmq_recv (self->mine, NULL, 0, ZMQ_DONTWAIT) == -1)
        return 0;
    self->samples [self->handled++] = s_now_ns () - atomic_load (&self->sent_ns);
    sem_post (&self->answered);
    return self->handled == self->count ? -1 : 0;
}

static void
s_wakes (uint64_t count)
{
    zloop_t *loop = zloop_new ();
    zsock_t *mine = zsock_new_pair ("@inproc://wake");
    zsock_t *peer = zsock_new_pair (">inproc://wake");
    s_check (loop && mine && peer, "cannot create the pair");
    wake_t wake = { .count = count + count / 10 + 1 };
    wake.mine = zsock_resolve (mine);
    wake.peer = zsock_resolve (peer);
    wake.samples = (double *) calloc (wake.count, sizeof (double));
    sem_init (&wake.answered, 0, 0);
    zloop_reader (loop, mine, s_woken, &wake);
    pthread_t thread;
    pthread_create (&thread, NULL, s_poster, &wake);
    zloop_start (loop);
    pthread_join (thread, NULL);
    uint64_t warm_up = wake.count - count;
    printf ("dispatched %" PRIu64 "\n", wake.handled - warm_up);
    s_report_samples ("wake_ns", wake.samples + warm_up, count);
}

//  --------------------------------------------------------------------------
//  A PULL that is flooded

typedef struct {
    meter_t meter;
    zmq_msg_t msg;
    void *mine, *push;
} flood_t;

static void
s_push (void *socket, uint64_t number)
{
    while (zmq_send (socket, &number, sizeof number, 0) == -1)
        s_check (zmq_errno () == EINTR, "cannot send");
}

static void *
s_flooder (void *arg)
{
    flood_t *self = (flood_t *) arg;
    for (uint64_t number = 0; number < self->meter.total; number++)
        s_push (self->push, number);
    return NULL;
}

static int
s_pull (zloop_t *loop, zsock_t *reader, void *arg)
{
    flood_t *self = (flood_t *) arg;
    for (int taken = 0; taken < s_batch; taken++) {
        if (zmq_msg_recv (&self->msg, self->mine, ZMQ_DONTWAIT) == -1)
            break;
        uint64_t number;
        memcpy (&number, zmq_msg_data (&self->msg), sizeof number);
        s_check (number == self->meter.seen, "a message is missing");
        if (s_tick (&self->meter))
            return -1;
    }
    return 0;
}

static void
s_flood (const char *bind, uint64_t count)
{
    zloop_t *loop = zloop_new ();
    zsock_t *mine = zsock_new_pull (bind);
    s_check (mine != NULL, "cannot bind");
    zsock_t *push = zsock_new (ZMQ_PUSH);
    s_check (zsock_connect (push, "%s", zsock_endpoint (mine)) == 0, "cannot connect");
    flood_t flood = { .meter = s_meter (count, CLOCK_MONOTONIC) };
    flood.mine = zsock_resolve (mine);
    flood.push = zsock_resolve (push);
    zmq_msg_init (&flood.msg);
    zloop_reader (loop, mine, s_pull, &flood);
    pthread_t thread;
    pthread_create (&thread, NULL, s_flooder, &flood);
    zloop_start (loop);
    pthread_join (thread, NULL);
    s_report (&flood.meter);
}

//  --------------------------------------------------------------------------
//  What a flood does to a timer and to a neighbour

#define PERIOD_MS 10

typedef struct {
    uint64_t ticks, ticked, flooded, neighboured;
    int64_t start_ms;
    void *flood, *push, *neighbour, *peer;
    double *timer_us, *neighbour_us;
    zmq_msg_t msg;
    atomic_bool stop;
} fair_t;

//  The loop has a CPU to itself, where there is another for the senders.
static void
s_use_cpus (bool first)
{
    cpu_set_t all, mine;
    sched_getaffinity (0, sizeof all, &all);
    CPU_ZERO (&mine);
    bool found = false;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET (cpu, &all))
            continue;
        if (found != first)
            CPU_SET (cpu, &mine);
        found = true;
    }
    if (CPU_COUNT (&mine))
        sched_setaffinity (0, sizeof mine, &mine);
}

static void *
s_endless_flooder (void *arg)
{
    fair_t *self = (fair_t *) arg;
    s_use_cpus (false);
    for (uint64_t number = 0; !atomic_load_explicit (&self->stop, memory_order_relaxed); number++)
        while (zmq_send (self->push, &number, sizeof number, 0) == -1)
            if (atomic_load (&self->stop))
                return NULL;
    return NULL;
}

static void *
s_neighbour (void *arg)
{
    fair_t *self = (fair_t *) arg;
    s_use_cpus (false);
    int64_t next_ns = s_now_ns ();
    while (!atomic_load (&self->stop)) {
        next_ns += PERIOD_MS * 1000000LL;
        struct timespec until = { next_ns / 1000000000LL, next_ns % 1000000000LL };
        clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        int64_t sent_ns = s_now_ns ();
        zmq_send (self->peer, &sent_ns, sizeof sent_ns, 0);
    }
    return NULL;
}

static int
s_flooded (zloop_t *loop, zsock_t *reader, void *arg)
{
    fair_t *self = (fair_t *) arg;
    for (int taken = 0; taken < s_batch; taken++) {
        if (zmq_msg_recv (&self->msg, self->flood, ZMQ_DONTWAIT) == -1)
            break;
        uint64_t number;
        memcpy (&number, zmq_msg_data (&self->msg), sizeof number);
        s_check (number == self->flooded, "a message is missing");
        self->flooded++;
    }
    return 0;
}

static int
s_neighboured (zloop_t *loop, zsock_t *reader, void *arg)
{
    fair_t *self = (fair_t *) arg;
    int64_t sent_ns;
    if (zmq_recv (self->neighbour, &sent_ns, sizeof sent_ns, ZMQ_DONTWAIT) == sizeof sent_ns
    &&  self->neighboured < self->ticks)
        self->neighbour_us [self->neighboured++] = (s_now_ns () - sent_ns) / 1000.0;
    return 0;
}

//  zloop counts whole milliseconds; its deadlines follow from the one in which the timer was set.
static int
s_interval (zloop_t *loop, int timer_id, void *arg)
{
    fair_t *self = (fair_t *) arg;
    int64_t deadline_ms = self->start_ms + (int64_t) (self->ticked + 1) * PERIOD_MS;
    self->timer_us [self->ticked++] = (s_now_ns () - deadline_ms * 1000000LL) / 1000.0;
    return self->ticked == self->ticks ? -1 : 0;
}

static void
s_fairness (uint64_t ticks)
{
    zloop_t *loop = zloop_new ();
    zsock_t *flood = zsock_new_pull ("@inproc://flood");
    zsock_t *push = zsock_new_push (">inproc://flood");
    zsock_t *neighbour = zsock_new_pair ("@inproc://neighbour");
    zsock_t *peer = zsock_new_pair (">inproc://neighbour");
    s_check (flood && push && neighbour && peer, "cannot create the sockets");
    zsock_set_sndtimeo (push, 100);
    fair_t fair = { .ticks = ticks };
    fair.flood = zsock_resolve (flood);
    fair.push = zsock_resolve (push);
    fair.neighbour = zsock_resolve (neighbour);
    fair.peer = zsock_resolve (peer);
    fair.timer_us = (double *) calloc (ticks, sizeof (double));
    fair.neighbour_us = (double *) calloc (ticks, sizeof (double));
    zmq_msg_init (&fair.msg);
    zloop_reader (loop, flood, s_flooded, &fair);
    zloop_reader (loop, neighbour, s_neighboured, &fair);
    pthread_t threads [2];
    pthread_create (&threads [0], NULL, s_endless_flooder, &fair);
    pthread_create (&threads [1], NULL, s_neighbour, &fair);
    s_use_cpus (true);
    //  At the beginning of a millisecond, so that all that counts from now counts from the same one.
    fair.start_ms = zclock_mono () + 1;
    while (zclock_mono () < fair.start_ms)
        ;
    int64_t began_ns = s_now_ns ();
    zloop_timer (loop, PERIOD_MS, 0, s_interval, &fair);
    zloop_start (loop);
    double seconds = (s_now_ns () - began_ns) / 1e9;
    atomic_store (&fair.stop, true);
    printf ("dispatched %" PRIu64 "\nflood_per_s %.1f\n", fair.ticked, fair.flooded / seconds);
    s_report_samples ("timer_us", fair.timer_us, fair.ticked);
    s_report_samples ("neighbour_us", fair.neighbour_us, fair.neighboured);
}

int
main (int argc, char *argv [])
{
    if (argc != 5) {
        fprintf (stderr, "usage: zloop BATCH TEST SIZE COUNT\n");
        return 2;
    }
    //  Ends a run that hangs.
    alarm (60);
    s_batch = atoi (argv [1]);
    const char *test = argv [2];
    uint64_t size = strtoull (argv [3], NULL, 10);
    uint64_t count = strtoull (argv [4], NULL, 10);
    if (streq (test, "sockets"))
        s_sockets (size, count);
    else if (streq (test, "turn"))
        s_turns (size, count, false);
    else if (streq (test, "turn-alone"))
        s_turns (size, count, true);
    else if (streq (test, "cancel"))
        s_cancels (size, count);
    else if (streq (test, "ticket"))
        s_tickets (size, count);
    else if (streq (test, "wake"))
        s_wakes (count);
    else if (streq (test, "flood-inproc"))
        s_flood ("@inproc://flood", count);
    else if (streq (test, "flood-tcp"))
        s_flood ("@tcp://127.0.0.1:*", count);
    else if (streq (test, "fairness"))
        s_fairness (count);
    else {
        fprintf (stderr, "zloop: there is no test '%s'\n", test);
        return 2;
    }
    fflush (stdout);
    //  Closing thousands of sockets is not part of the race.
    _exit (0);
}

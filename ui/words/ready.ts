/**
 * The rules that come with Jobsight in 中文: [English, 中文], the English as the server tells it. What somebody wrote in its place,
 * in the file of rules or on the page, is another text and stays as it is; see told() in words.ts.
 */
interface ReadyRule {
  name: string
  summary: readonly [string, string]
  message: readonly [string, string]
}

export const READY: Readonly<Record<string, ReadyRule>> = {
  'job-idle': {
    name: '作业空闲',
    summary: [
      'A job holds its cores and does nothing: it hangs, waits for input, or nobody uses the session.',
      '作业占着核心却什么也没做：程序挂起、在等待输入，或会话无人使用。',
    ],
    message: [
      'job {job} of {user} does nothing: {value} cores busy on each of its nodes over {window}',
      '{user} 的作业 {job} 空闲：{window} 内每个节点平均只有 {value} 个核心在忙',
    ],
  },
  'job-few-cores': {
    name: '作业只用少数核心',
    summary: [
      'A job uses a fraction of its cores: a serial program, or OMP_NUM_THREADS or the number of ranks is too small.',
      '作业只用了一小部分核心：程序是串行的，或者 OMP_NUM_THREADS 或进程（rank）数太小。',
    ],
    message: ['job {job} of {user} uses {value} of its cores', '{user} 的作业 {job} 只用了所分配核心的 {value}'],
  },
  'job-idle-node': {
    name: '作业有空闲节点',
    summary: ['One of the nodes of a job does nothing for it.', '作业的某个节点没有为它做任何工作。'],
    message: [
      '{node} does nothing for job {job}: {value} cores are busy there',
      '{node} 没有为作业 {job} 工作：只有 {value} 个核心在忙',
    ],
  },
  'job-straggler': {
    name: '作业有拖后腿的节点',
    summary: [
      'One node waits much less than the others of its job: they wait for it.',
      '某个节点的等待时间远少于同一作业的其他节点：它们都在等它。',
    ],
    message: [
      '{node} keeps job {job} waiting: it waits {own} of its time, the median node {median}',
      '{node} 拖住了作业 {job}：它只有 {own} 的时间在等待，节点中位数为 {median}',
    ],
  },
  'job-slow-node': {
    name: '作业有慢节点',
    summary: ['One node computes much less than the others of its job.', '某个节点的计算量远少于同一作业的其他节点。'],
    message: [
      '{node} computes less than the other nodes of job {job}: {own} of its cores, the median {median}',
      '{node} 的计算量少于作业 {job} 的其他节点：用了核心的 {own}，中位数为 {median}',
    ],
  },
  'job-slow-rank': {
    name: '作业有慢进程',
    summary: [
      'One rank of a job computes much less, or much more, than the others of the same program.',
      '作业的某个进程（rank）的计算量与同一程序的其他进程相差很大。',
    ],
    message: [
      '{process} (pid {pid}) on {node} computes less than its peers in job {job}: {own} cores, the median {median}',
      '{node} 上的 {process}（pid {pid}）的计算量少于作业 {job} 的其他进程：{own} 个核心，中位数为 {median}',
    ],
  },
  'job-imbalance': {
    name: '作业负载不均',
    summary: [
      'The nodes of a job compute unevenly: a part of what it holds waits for the busiest.',
      '作业各节点的计算量不均：一部分资源在等待最忙的节点。',
    ],
    message: [
      'the nodes of job {job} compute {value} less on average than the busiest of them',
      '作业 {job} 的节点平均比最忙的节点少算 {value}',
    ],
  },
  'job-memory-near-limit': {
    name: '作业内存接近上限',
    summary: ['A job is about to be killed for memory.', '作业即将因内存超限被终止。'],
    message: [
      'job {job} of {user} has {value} of the memory that it may use',
      '{user} 的作业 {job} 已用到内存上限的 {value}',
    ],
  },
  'job-out-of-memory': {
    name: '作业内存超限',
    summary: ['A job was killed for memory.', '作业因内存超限被终止。'],
    message: ['job {job} of {user} was killed for memory', '{user} 的作业 {job} 因内存超限被终止'],
  },
  'job-kernel-time': {
    name: '作业内核时间过多',
    summary: [
      'A job spends its time in the kernel: look at the kernel frames of its flame graph (system calls, page faults, locks).',
      '作业的时间花在内核里：请看火焰图中的内核帧（系统调用、缺页、锁）。',
    ],
    message: [
      '{value} of the CPU time of job {job} is spent in the kernel',
      '作业 {job} 有 {value} 的 CPU 时间花在内核里',
    ],
  },
  'job-mpi-wait': {
    name: '作业在等待 MPI',
    summary: ['A job spends most of its time waiting in MPI.', '作业的大部分时间在 MPI 中等待。'],
    message: [
      '{value} of the CPU time of job {job} is spent in MPI_Wait',
      '作业 {job} 有 {value} 的 CPU 时间花在 MPI_Wait 中',
    ],
  },
  'job-io-storm': {
    name: '作业 I/O 风暴',
    summary: ['One job moves so much data that others feel it.', '某个作业读写的数据多到影响其他作业。'],
    message: ['job {job} of {user} reads and writes {value}', '{user} 的作业 {job} 正以 {value} 读写'],
  },
  'job-near-time-limit': {
    name: '作业接近时限',
    summary: ['A job will be killed at its time limit soon.', '作业很快会因达到时限被终止。'],
    message: ['{value} of the time limit of job {job} is over', '作业 {job} 的时限已用去 {value}'],
  },
  'node-down-with-jobs': {
    name: '有作业的节点宕机',
    summary: ['The scheduler says that a node is down while jobs run on it.', '调度器报告节点宕机，而它上面还有作业。'],
    message: ['{node} is down with jobs on it', '{node} 宕机，上面还有作业'],
  },
  'collector-silent': {
    name: '采集器无数据',
    summary: [
      'A collector is not heard from: the node is down, the network, or the collector; `jobsight doctor` there says more.',
      '收不到采集器的数据：节点宕机、网络或采集器有问题；在该节点运行 `jobsight doctor` 可了解更多。',
    ],
    message: ['nothing was heard of {node} for {value}', '已 {value} 没有 {node} 的数据'],
  },
  'cluster-silent': {
    name: '集群无数据',
    summary: [
      'Nothing at all is heard of a cluster: its network, or what stands between it and this server. No other rule is evaluated there.',
      '完全收不到集群的数据：集群网络，或它与本服务器之间的环节有问题。该集群的其他规则暂不评估。',
    ],
    message: ['nothing was heard of cluster {cluster} for {value}', '已 {value} 没有集群 {cluster} 的数据'],
  },
  'scheduler-unreadable': {
    name: '调度器无数据',
    summary: [
      'Nothing is heard of the scheduler any more: its controller is down, or the collector that asks it.',
      '收不到调度器的数据：它的控制器或负责查询的采集器停了。',
    ],
    message: ['the scheduler of {cluster} was not heard for {value}', '已 {value} 没有 {cluster} 调度器的数据'],
  },
  'node-memory-full': {
    name: '节点内存用尽',
    summary: [
      'A node has hardly any memory left: it will swap or kill.',
      '节点几乎没有剩余内存：将开始换页或终止进程。',
    ],
    message: ['{value} of the memory of {node} is in use', '{node} 的内存已用 {value}'],
  },
  'node-swapping': {
    name: '节点在换页',
    summary: [
      'A node reads pages back from swap all the time: what runs there crawls.',
      '节点不断从交换区读回页面：上面的程序会非常慢。',
    ],
    message: ['{node} swaps in {value} pages a second', '{node} 每秒换入 {value} 页'],
  },
  'node-oom-kill': {
    name: '节点内存不足杀进程',
    summary: ['The kernel killed a process for memory.', '内核因内存不足终止了进程。'],
    message: ['a process was killed for memory on {node}', '{node} 上有进程因内存不足被终止'],
  },
  'node-kernel-time': {
    name: '节点内核时间过多',
    summary: ['A node spends its time in the kernel.', '节点的时间花在内核里。'],
    message: ['{value} of the CPU time of {node} is spent in the kernel', '{node} 有 {value} 的 CPU 时间花在内核里'],
  },
  'node-io-wait': {
    name: '节点在等待 I/O',
    summary: ['Everything on a node waits for disks or network storage.', '节点上的所有任务都在等待磁盘或网络存储。'],
    message: ['all tasks of {node} wait for I/O {value} of the time', '{node} 的所有任务有 {value} 的时间在等待 I/O'],
  },
  'gpu-idle-allocated': {
    name: '已分配的 GPU 空闲',
    summary: [
      'Jobs hold all GPUs of a node and this one does nothing.',
      '作业占用了节点的全部 GPU，而这一块什么也没做。',
    ],
    message: ['GPU {instance} of {node} is allocated and idle', '{node} 的 GPU {instance} 已分配但空闲'],
  },
  'gpu-throttled': {
    name: 'GPU 降频',
    summary: ['Heat or power slows a GPU down.', 'GPU 因温度或功耗降频。'],
    message: [
      'GPU {instance} of {node} is slowed down {value} of the time',
      '{node} 的 GPU {instance} 有 {value} 的时间在降频',
    ],
  },
  'gpu-ecc': {
    name: 'GPU 内存错误',
    summary: [
      'A GPU had memory errors that ECC could not mend: results may be wrong.',
      'GPU 出现 ECC 无法纠正的内存错误：结果可能不对。',
    ],
    message: [
      'GPU {instance} of {node} had memory errors that could not be mended',
      '{node} 的 GPU {instance} 出现无法纠正的内存错误',
    ],
  },
  'cpu-throttled': {
    name: 'CPU 过热降频',
    summary: [
      'Heat slows the CPUs of a node down: look at its fans and at the room.',
      '节点的 CPU 因过热降频：请检查风扇和机房。',
    ],
    message: [
      'the CPUs of {node} are slowed down for heat {value} of the time',
      '{node} 的 CPU 有 {value} 的时间因过热降频',
    ],
  },
  'filesystem-full': {
    name: '文件系统将满',
    summary: ['A file system is nearly full.', '文件系统快满了。'],
    message: ['{instance} on {node} is {value} full', '{node} 的 {instance} 已用 {value}'],
  },
  'filesystem-inodes': {
    name: 'inode 将用尽',
    summary: ['A file system can soon hold no more files.', '文件系统很快就不能再存放新文件。'],
    message: ['{value} of the inodes of {instance} on {node} are in use', '{node} 的 {instance} 已用 {value} 的 inode'],
  },
  'filesystem-stuck': {
    name: '文件系统无响应',
    summary: ['A file system does not answer: what touches it hangs.', '文件系统没有响应：访问它的程序会挂起。'],
    message: ['{instance} on {node} does not answer', '{node} 的 {instance} 没有响应'],
  },
  'filesystem-slow': {
    name: '文件系统缓慢',
    summary: ['Operations on a file system queue up.', '文件系统的操作在排队。'],
    message: ['{value} operations wait for {instance} on {node}', '{node} 的 {instance} 有 {value} 个操作在等待'],
  },
  'metadata-storm': {
    name: '元数据风暴',
    summary: [
      'A node asks a file system for metadata without pause: many small files, or a loop of stat().',
      '节点不停地访问文件系统元数据：大量小文件，或循环调用 stat()。',
    ],
    message: ['{node} does {value} metadata operations a second', '{node} 每秒执行 {value} 次元数据操作'],
  },
  'network-receive-errors': {
    name: '网络接收错误',
    summary: [
      'An interface receives broken packets: cable, optics or switch port.',
      '网卡收到损坏的数据包：请检查线缆、光模块或交换机端口。',
    ],
    message: [
      '{instance} of {node} has {value} receive errors a second',
      '{node} 的 {instance} 每秒有 {value} 个接收错误',
    ],
  },
  'network-transmit-errors': {
    name: '网络发送错误',
    summary: [
      'An interface cannot send what it should: cable, optics or switch port.',
      '网卡无法正常发送：请检查线缆、光模块或交换机端口。',
    ],
    message: [
      '{instance} of {node} has {value} transmit errors a second',
      '{node} 的 {instance} 每秒有 {value} 个发送错误',
    ],
  },
  'fabric-errors': {
    name: '高速网络错误',
    summary: ['A port of the fast network has errors or lost its link.', '高速网络的端口有错误或断链。'],
    message: ['the fast network of {node} has {value} errors a second', '{node} 的高速网络每秒有 {value} 个错误'],
  },
}

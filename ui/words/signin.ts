/** Words of signing in and out: [English, 中文]. */
export const SIGN_IN = {
  'signin.title': ['Sign in to Jobsight', '登录 Jobsight'],
  'signin.why': [
    'You see the jobs that are yours, and of the nodes what was measured while they ran.',
    '登录后可查看您自己的作业，以及作业运行期间节点上的测量数据。',
  ],
  'signin.user': ['User', '用户'],
  'signin.password': ['Password', '密码'],
  'signin.do': ['Sign in', '登录'],
  'signin.doing': ['Signing in …', '正在登录 …'],
  'signin.oidc': ['Sign in with your organisation', '使用机构账号登录'],
  'signin.or': ['or', '或'],
  'signin.noWay': [
    'This server knows people by a proxy or by tokens: open the page through the address that your administrator gave you.',
    '此服务器通过代理或令牌识别用户：请使用管理员提供的地址打开本页。',
  ],
  'signin.noRole': [
    '{user}, you are signed in, but have no role here: ask an administrator for `jobsight user add {user}`.',
    '{user}，您已登录，但没有任何角色：请联系管理员执行 `jobsight user add {user}`。',
  ],
  'cluster.noOwn': ['None of your jobs runs now', '您当前没有正在运行的作业'],
  'cluster.noOwnHow': [
    'Your nodes appear here as soon as one does. What ran before is under Jobs.',
    '作业运行后，其节点会显示在这里。以往的作业请查看“作业”。',
  ],
  'who.label': ['Who is signed in', '当前用户'],
  'who.out': ['Sign out', '退出登录'],
  'who.until': ['signed in until {time}', '登录有效至 {time}'],
  'who.admin': ['Administrator: sees and changes everything', '管理员：可查看和更改全部内容'],
  'who.support': ['Support: sees everything, changes nothing', '支持人员：可查看全部内容，不能更改'],
  'who.manager': [
    'Manager of {accounts}: sees the jobs of these accounts',
    '{accounts} 的负责人：可查看这些账户的作业',
  ],
  'who.user': ['Sees own jobs, and nodes while they ran there', '可查看自己的作业，以及作业运行期间的节点'],
} as const

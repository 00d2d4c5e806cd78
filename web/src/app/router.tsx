import type { RouteObject } from 'react-router';
import { Layout } from '@/app/layout';
import { NotFound, PageFault } from '@/app/routes/not-found';
import { routes } from '@/lib/paths';

/** Each page is a file of its own, loaded when it is first opened. */
export const routeObjects: RouteObject[] = [
  {
    element: <Layout />,
    errorElement: <PageFault />,
    children: [
      {
        errorElement: <PageFault />,
        hydrateFallbackElement: <></>,
        children: [
          { path: routes.now, lazy: () => import('@/app/routes/now') },
          { path: routes.live, lazy: () => import('@/app/routes/live') },
          { path: routes.incident, lazy: () => import('@/app/routes/incident') },
          { path: '*', element: <NotFound /> },
        ],
      },
    ],
  },
];

import { isRouteErrorResponse, Link, useRouteError } from 'react-router';
import { paths } from '@/lib/paths';
import { Button } from '@/ui/button';
import { Empty } from '@/ui/notice';

export function NotFound() {
  return (
    <Empty title="There is no such page">
      <Link className="inline-flex min-h-target items-center underline" to={paths.now()}>
        See what is open now
      </Link>
    </Empty>
  );
}

/** A page that failed to load (a new version was installed meanwhile) or that has a defect. */
export function PageFault() {
  const error = useRouteError();
  if (isRouteErrorResponse(error) && error.status === 404) return <NotFound />;
  return (
    <Empty title="This page could not be shown">
      <p>Andon may have been updated while it was open.</p>
      <Button
        className="mt-3"
        onClick={() => {
          window.location.reload();
        }}
      >
        Load again
      </Button>
    </Empty>
  );
}
